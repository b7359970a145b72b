"""Schedules of a hyperparameter over a stage.

A schedule becomes a function `step -> value` once the stage knows its number of steps. Rate,
momentum, weight decay, dropout and the strength of augmentation can each be one. Cycles are defined
in `optim.schedules_cycles` and exported here too. The loop evaluates a schedule once per step. A
call of an optax schedule takes 0.2 ms and gives float32, so all but the first are formulas in
float64, which the tests compare with optax and PyTorch.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import optax

from tljax.errors import InputError
from tljax.optim.schedules_cycles import Cyclic, OneCycle, OneCycleMomentum, WarmRestarts
from tljax.optim.schedules_numbers import number, positive, within

__all__ = [
    "Cyclic",
    "OneCycle",
    "OneCycleMomentum",
    "Piecewise",
    "Scaled",
    "Schedule",
    "Sweep",
    "WarmRestarts",
    "WarmupCosine",
    "WarmupLinear",
    "resolve",
]


@runtime_checkable
class Schedule(Protocol):
    """A frozen dataclass that maps a stage's number of steps to a function of the step.

    Steps count from 0. The function has a value past the last step too, because a stage may be
    continued.
    """

    # Without it every callable would pass, even an optax schedule, which takes the step itself.
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __call__(self, steps: int) -> Callable[[int], float]:
        """Return the function of the step, for a stage of this many steps."""
        ...


def resolve(value: float | Schedule, *, steps: int) -> Callable[[int], float]:
    """Turn a constant or a schedule into a function of the step, for a stage of `steps` steps.

    >>> rate = resolve(WarmupLinear(1.0, warmup=0.5), steps=4)
    >>> [rate(step) for step in range(4)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if isinstance(value, Schedule) and not isinstance(value, type):
        return value(steps)
    if isinstance(value, str | bool) or not isinstance(value, int | float | np.number):
        raise InputError(
            f"a hyperparameter is a number or a schedule (a dataclass), found {value!r}"
        )
    return lambda step: value


@dataclass(frozen=True)
class WarmupCosine:
    """Linear warm-up from zero to `peak` over a fraction of the stage, then a cosine down to zero.

    A stage does not know its number of steps until it has its data, so a schedule is called with
    it: `schedule(steps)` is a function of the step.
    """

    peak: float
    warmup: float = 0.1  # fraction of the steps

    def __call__(self, steps: int) -> Callable[[int], float]:
        """Return the function of the step, for a stage of this many steps."""
        rising = math.ceil(self.warmup * steps)
        curve = optax.warmup_cosine_decay_schedule(0.0, self.peak, rising, max(steps, rising + 1))
        return lambda step: np.asarray(curve(step + 1)).item()  # the first step moves too


@dataclass(frozen=True)
class WarmupLinear:
    """Linear warm-up from zero to `peak` over a fraction of the stage, then a line down to `final`.

    The last step of the stage reaches `final`.
    """

    peak: float
    warmup: float = 0.1  # fraction of the steps
    final: float = 0.0

    def __post_init__(self) -> None:
        number(self, "peak", "final")
        within(self, "warmup", 0, 1)

    def __call__(self, steps: int) -> Callable[[int], float]:
        """Return the function of the step, for a stage of this many steps."""
        rising = math.ceil(self.warmup * steps)
        places, values = (0, rising, max(steps, rising + 1)), (0.0, self.peak, self.final)
        start = 0 if rising else 1  # without warm-up the first step is on the line down
        # The first step moves too.
        return lambda step: float(np.interp(step + 1, places[start:], values[start:]))


@dataclass(frozen=True)
class Piecewise:
    """One value after another, each a number or a schedule over its own part of the stage.

    `boundaries` are fractions of the stage, one fewer than `values`, rounded to whole steps; None
    makes equal parts.
    """

    values: tuple["float | Schedule", ...]
    boundaries: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.values, tuple) or not self.values:
            raise InputError(
                f"Piecewise: values must be a tuple with one or more, found {self.values!r}"
            )
        edges = (0.0, *self._fractions(), 1.0)
        increase = all(a < b for a, b in pairwise(edges))
        if len(edges) != len(self.values) + 1 or not increase:
            raise InputError(
                f"Piecewise: {len(self.values)} values need {len(self.values) - 1} boundaries "
                f"that increase between 0 and 1, found {self.boundaries!r}"
            )

    def __call__(self, steps: int) -> Callable[[int], float]:
        """Return the function of the step, for a stage of this many steps."""
        edges = [0, *(round(fraction * steps) for fraction in self._fractions()), steps]
        lengths = [max(1, last - first) for first, last in pairwise(edges)]
        parts = [
            resolve(value, steps=length) for value, length in zip(self.values, lengths, strict=True)
        ]

        def value(step: int) -> float:
            part = bisect_right(edges[1:-1], step)
            return parts[part](step - edges[part])

        return value

    def _fractions(self) -> tuple[float, ...]:
        if self.boundaries is None:
            return tuple(i / len(self.values) for i in range(1, len(self.values)))
        return self.boundaries


@dataclass(frozen=True)
class Scaled:
    """A number or a schedule times `factor`, with a linear warm-up of the factor from 1.

    The warm-up takes the first `warmup` of the stage, as for the rate of large batches (Goyal et
    al. 2017, arXiv 1706.02677, section 2.2).
    """

    value: "float | Schedule"
    factor: float
    warmup: float = 0.0  # fraction of the steps

    def __post_init__(self) -> None:
        positive(self, "factor")
        within(self, "warmup", 0, 1)
        resolve(self.value, steps=1)

    def __call__(self, steps: int) -> Callable[[int], float]:
        """Return the function of the step, for a stage of this many steps."""
        value, rising = resolve(self.value, steps=steps), math.ceil(self.warmup * steps)

        def scaled(step: int) -> float:
            part = min(1.0, (step + 1) / rising) if rising else 1.0
            return value(step) * (1 + (self.factor - 1) * part)

        return scaled


@dataclass(frozen=True)
class Sweep:
    """From `low` at the first step to `high` at the last, in equal factors or equal differences."""

    low: float
    high: float
    linear: bool = False

    def __post_init__(self) -> None:
        number(self, "low", "high")
        if not 0 < self.low < self.high:
            raise InputError(
                f"Sweep: expected 0 < low < high, found {self.low!r} and {self.high!r}"
            )

    def __call__(self, steps: int) -> Callable[[int], float]:
        """Return the function of the step, for a stage of this many steps."""

        def value(step: int) -> float:
            part = min(1.0, step / max(1, steps - 1))
            if self.linear:
                return self.low + (self.high - self.low) * part
            return self.low * (self.high / self.low) ** part

        return value
