"""Schedules that go up and down: cyclic, warm restarts, one cycle.

At every step they equal PyTorch's schedules of the same shape. A cycle's length is a count of
`cycles` in the stage, or `cycle_steps` as in PyTorch: exactly one of the two.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from tljax.errors import InputError
from tljax.optim.schedules_numbers import is_number, number, positive, within

MODES = ("triangular", "triangular2", "exp_range")


@dataclass(frozen=True)
class Cyclic:
    """Lines from `start` to `peak` and back, repeated (Smith 2015, arXiv 1506.01186).

    Equal to PyTorch's `CyclicLR`. triangular2 halves the swing after each cycle, exp_range
    multiplies it by `gamma` at each step. A momentum that cycles against the rate has its `start`
    above its `peak`.
    """

    start: float
    peak: float
    mode: str = "triangular"
    cycles: float | None = None  # number in the stage; 2.5 ends at the peak
    cycle_steps: int | None = None
    rising: float = 0.5  # fraction of a cycle spent on the way to the peak
    gamma: float = 1.0  # per step, exp_range only

    def __post_init__(self) -> None:
        number(self, "start", "peak")
        _one_length(self)
        within(self, "gamma", 0, 1)
        within(self, "rising", 0, 1)
        if self.mode not in MODES:
            raise InputError(f"Cyclic: mode must be one of {', '.join(MODES)}, found {self.mode!r}")
        if not 0 < self.rising < 1:
            raise InputError(f"Cyclic: rising must be above 0 and below 1, found {self.rising!r}")
        if (self.mode == "exp_range") != (self.gamma != 1):
            raise InputError(
                "Cyclic: gamma below 1 goes with exp_range; "
                f"found {self.mode} and gamma {self.gamma!r}"
            )

    def __call__(self, steps: int) -> Callable[[int], float]:
        """Return the function of the step, for a stage of this many steps."""
        length = self.cycle_steps or steps / (self.cycles or 1)

        def value(step: int) -> float:
            cycle, place = divmod(step / length, 1.0)
            height = (
                place / self.rising if place <= self.rising else (1 - place) / (1 - self.rising)
            )
            scale = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**step}[
                self.mode
            ]
            return self.start + (self.peak - self.start) * height * scale

        return value


@dataclass(frozen=True)
class WarmRestarts:
    """A cosine from `peak` to `low`, restarted at the peak: SGDR.

    Loshchilov and Hutter 2016, arXiv 1608.03983. Each cycle is `cycle_mult` times as long as the
    one before, in whole steps. `warmup`, a fraction of the stage, rises from zero before the first
    cycle. Without it the values equal those of PyTorch's `CosineAnnealingWarmRestarts`.
    """

    peak: float
    low: float = 0.0
    cycles: int | None = None  # cycles that fill the stage
    cycle_steps: int | None = None  # steps of the first cycle
    cycle_mult: float = 1.0
    warmup: float = 0.0

    def __post_init__(self) -> None:
        number(self, "peak", "low")
        _one_length(self)
        if self.cycles is not None and self.cycles != int(self.cycles):
            raise InputError(f"WarmRestarts: cycles must be a whole number, found {self.cycles!r}")
        if not is_number(self.cycle_mult) or self.cycle_mult < 1:
            raise InputError(
                f"WarmRestarts: cycle_mult must be 1 or more, found {self.cycle_mult!r}"
            )
        within(self, "warmup", 0, 1)

    def __call__(self, steps: int) -> Callable[[int], float]:
        """Return the function of the step, for a stage of this many steps."""
        rising = math.ceil(self.warmup * steps)
        edges = self._edges(max(1, steps - rising))

        def value(step: int) -> float:
            if step < rising:
                # The first step moves too, and the peak is not repeated.
                return self.peak * (step + 1) / (rising + 1)
            cycle = min(bisect_right(edges, step - rising), len(edges) - 1)
            part = min(1.0, (step - rising - edges[cycle - 1]) / (edges[cycle] - edges[cycle - 1]))
            return _cosine(self.peak, self.low, part)

        return value

    def _edges(self, steps: int) -> list[int]:
        """List the steps at which cycles begin, from 0, then the end of the last cycle."""
        if self.cycles:
            lengths = [float(self.cycle_mult) ** i for i in range(int(self.cycles))]
            unit = steps / sum(lengths)
        else:
            unit, lengths, total = self.cycle_steps or 1, [1.0], 1.0
            while unit * total < steps:
                lengths.append(lengths[-1] * self.cycle_mult)
                total += lengths[-1]
        # A short stage may leave a cycle without a step; the set drops it.
        return sorted({0, *(round(unit * ends) for ends in accumulate(lengths))})


@dataclass(frozen=True)
class OneCycle:
    """A cosine up from `peak / div`, then one down to almost nothing: that start over `final_div`.

    arXiv 1708.07120. Equal to PyTorch's `OneCycleLR` with `anneal_strategy="cos"` and two phases.
    """

    peak: float
    div: float = 25.0
    final_div: float = 1e4
    pct_start: float = 0.3  # fraction of the stage on the way up

    def __post_init__(self) -> None:
        number(self, "peak")
        positive(self, "div", "final_div")
        within(self, "pct_start", 0, 1)

    def __call__(self, steps: int) -> Callable[[int], float]:
        """Return the function of the step, for a stage of this many steps."""
        start = self.peak / self.div
        return _two_phases(
            start, self.peak, start / self.final_div, pct_start=self.pct_start, steps=steps
        )


@dataclass(frozen=True)
class OneCycleMomentum:
    """The momentum for OneCycle: from `high` to `low` while the rate rises, then back to `high`."""

    high: float = 0.95
    low: float = 0.85
    pct_start: float = 0.3

    def __post_init__(self) -> None:
        number(self, "high", "low")
        within(self, "pct_start", 0, 1)

    def __call__(self, steps: int) -> Callable[[int], float]:
        """Return the function of the step, for a stage of this many steps."""
        return _two_phases(self.high, self.low, self.high, pct_start=self.pct_start, steps=steps)


def _two_phases(
    start: float, middle: float, end: float, *, pct_start: float, steps: int
) -> Callable[[int], float]:
    # The turn lies between steps, as in PyTorch; a stage of a few steps may begin at or past it.
    turn, last = pct_start * steps - 1, steps - 1

    def value(step: int) -> float:
        if step < turn:
            return _cosine(start, middle, step / turn)
        return _cosine(
            middle, end, min(1.0, (step - turn) / (last - turn)) if last > max(turn, 0) else 0.0
        )

    return value


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def _one_length(schedule: Any) -> None:
    fields = [name for name in ("cycles", "cycle_steps") if getattr(schedule, name) is not None]
    if len(fields) != 1:
        lengths = (
            " and ".join(f"{name}={getattr(schedule, name)!r}" for name in fields) or "neither"
        )
        raise InputError(
            f"{type(schedule).__name__}: give cycles (in the stage) or cycle_steps, one; "
            f"found {lengths}"
        )
    positive(schedule, fields[0])
    if schedule.cycle_steps is not None and schedule.cycle_steps != int(schedule.cycle_steps):
        raise InputError(
            f"{type(schedule).__name__}: cycle_steps must be whole, found {schedule.cycle_steps!r}"
        )
