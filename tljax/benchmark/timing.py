"""Interleaved rounds and their ratios.

The module has no dependencies, so that a peer's process can import it.
"""

import math
import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


class PeerError(Exception):
    """A peer's failure, in one line."""


@dataclass(frozen=True)
class Contender:
    """A piece of work to time.

    `call` does it once and returns when it is done; `work` is its amount, by unit.
    """

    call: Callable[[], object]
    work: dict[str, float]


@dataclass(frozen=True)
class Entrant:
    """A contender in a race, here or in another process.

    `seconds(n)` is the mean of n calls in a row; PeerError where it fails.
    """

    seconds: Callable[[int], float]
    work: dict[str, float]
    once: bool = False  # a round is one call, and even the first call is a round


@dataclass(frozen=True)
class Ratio:
    """The ratio of the medians, and the lowest and highest of single rounds."""

    value: float
    low: float
    high: float


def timed(call: Callable[[], object], repeats: int) -> float:
    """Measure the mean seconds of `repeats` calls in a row."""
    started = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - started) / repeats


def race(
    entrants: Sequence[Entrant], *, rounds: int, seconds: float, deadline: float = math.inf
) -> list[list[float] | PeerError]:
    """Measure seconds per call of each entrant in interleaved rounds: A, B, A, B, ...

    A round of one entrant lasts `seconds` or one call, whichever is longer, after a warm-up and a
    trial. No round begins that would end after `deadline` (of `time.monotonic`), as long as the one
    before it or the trials; there may be none. An entrant that fails is out of the race.
    """
    results: list[list[float] | PeerError] = [[] for _ in entrants]
    repeats, expected = [1] * len(entrants), 0.0
    for i, entrant in enumerate(entrants):
        try:
            repeats[i], trial = _repeats(entrant, seconds)
            expected += trial
        except PeerError as error:
            results[i] = error
    for _ in range(rounds):
        began = time.monotonic()
        if began + expected > deadline:
            break
        for i, entrant in enumerate(entrants):
            if isinstance(times := results[i], list):
                try:
                    times.append(entrant.seconds(repeats[i]))
                except PeerError as error:
                    results[i] = error
        expected = time.monotonic() - began
    return results


def _repeats(entrant: Entrant, seconds: float) -> tuple[int, float]:
    """Return the number of calls in a round, and the seconds that these should take."""
    if entrant.once:
        return 1, 0.0
    entrant.seconds(1)  # compiles, fills caches
    trial = entrant.seconds(1)
    repeats = max(1, min(1000, math.ceil(seconds / max(trial, 1e-6))))
    return repeats, repeats * trial


def ratio(ours: Sequence[float], theirs: Sequence[float], *, work: float) -> Ratio:
    """Compute our rate over theirs; `work` is ours per call over theirs per call."""
    rounds = [work * b / a for a, b in zip(ours, theirs, strict=True)]
    return Ratio(work * median(theirs) / median(ours), min(rounds), max(rounds))


class Load:
    """CPU use of other processes, in cores, from the creation of this object to `cores()`.

    None where /proc is absent.
    """

    def __init__(self) -> None:
        self._began, self._busy, self._own = time.monotonic(), _busy(), _own()

    def cores(self) -> float | None:
        """Return the mean number of cores in use by others since then; None if not known."""
        busy, own = _busy(), _own()
        if self._busy is None or busy is None:
            return None
        return max(0.0, (busy - self._busy - own + self._own) / (time.monotonic() - self._began))


def _busy() -> float | None:
    """Read the CPU seconds of the whole machine since it started."""
    try:
        user, nice, system, _, _, *interrupts = (
            Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        )
    except OSError:
        return None
    return sum(map(int, (user, nice, system, *interrupts))) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    """Read the CPU seconds of this process and of its children, ended or alive."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(x.ru_utime + x.ru_stime for x in used) + sum(
        map(_child_seconds, Path("/proc").glob("[0-9]*/stat"))
    )


def _child_seconds(stat: Path) -> float:
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:  # it ended meanwhile
        return 0.0
    return (
        (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if int(fields[1]) == os.getpid()
        else 0.0
    )
