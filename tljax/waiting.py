"""What a person sees while waiting: one bar at a time, gone when its phase ends, and lines."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, TextIO, TypeVar

from tqdm import tqdm

DELAY = 0.5  # seconds: no bar for what is done before it is seen
_SHAPE = "{desc} |{bar:20}| {n_fmt} of {total_fmt} {unit}, {left}{postfix}"
T = TypeVar("T")


class Bar(tqdm):
    """Says how long its phase still takes, and, where that is known, all that follows it too."""

    follows: float | None = None  # seconds

    @property
    def format_dict(self) -> dict[str, Any]:
        """Add the time that is left to what tqdm knows."""
        known = super().format_dict
        since, done = known["elapsed"], self.n - self.initial
        if not self.total or done <= 0:
            return {**known, "left": f"{duration(since)} so far"}
        left = since / done * max(self.total - self.n, 0)
        rest = "" if self.follows is None else f"; all done in {duration(left + self.follows)}"
        return {**known, "left": f"{duration(left)} left{rest}"}


def bar(
    total: int | None,
    what: str,
    *,
    unit: str,
    shown: bool = True,
    done: int = 0,
    scale: bool = False,
) -> Bar:
    """Make a bar on standard error; none where that is no terminal, or where `shown` is False.

    `done` of `total` are done already; `scale` writes thousands and millions short. With `total`
    None it counts alone.
    """
    return Bar(
        file=sys.stderr,
        total=total,
        initial=done,
        desc=what,
        unit=unit if total else f" {unit}",
        unit_scale=scale,
        leave=False,
        delay=DELAY,
        dynamic_ncols=True,
        bar_format=_SHAPE if total else None,
        disable=not (shown and sys.stderr.isatty()),
    )


def over(items: Sequence[T], what: str, *, unit: str, shown: bool) -> Iterator[T]:
    """Yield the items with a bar beside them."""
    with bar(len(items), what, unit=unit, shown=shown) as beside:
        for item in items:
            yield item
            beside.update()


def then(seconds: float | None) -> None:
    """Tell the bars to come how long all that follows them takes; None where that is not known."""
    Bar.follows = seconds


class Pace:
    """Tell the bars of `left` phases that take alike, as each begins, how long the others take."""

    def __init__(self, left: int):
        self._left, self._done, self._began = left, 0, time.perf_counter()

    def begins(self) -> None:
        """Tell the bar of the phase that begins; None is known before the first has ended."""
        spent = time.perf_counter() - self._began
        self._left -= 1
        then(spent / self._done * self._left if self._done and self._left else None)
        self._done += 1


def say(line: str, file: TextIO | None = None) -> None:
    """Print a line on standard output, above a bar where there is one."""
    Bar.write(line, file=file or sys.stdout)
    (file or sys.stdout).flush()


def duration(seconds: float) -> str:
    """Write a time as a person says it.

    >>> [duration(seconds) for seconds in (0.4, 8, 129.6, 3900)]
    ['0 s', '8 s', '2 min 10 s', '1 h 5 min']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{whole // 3600} h {whole % 3600 // 60} min"
