"""Pure `step -> value` functions for any hyperparameter; optax has the shapes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import optax


@dataclass(frozen=True)
class WarmupCosine:
    """Linear warm-up from nothing to `peak` over a fraction of the stage, then a cosine down to nothing.

    A stage does not know its steps until it meets the data, so the schedule is asked with them: `schedule(steps)` is
    a function of the step.
    """

    peak: float
    warmup: float = 0.1  # fraction of the steps

    def __call__(self, steps: int) -> Callable[[int], float]:
        """The function for a stage of this many steps."""
        rising = math.ceil(self.warmup * steps)
        curve = optax.warmup_cosine_decay_schedule(0.0, self.peak, rising, max(steps, rising + 1))
        return lambda step: np.asarray(curve(step + 1)).item()  # the first step moves too


Schedule = WarmupCosine


def resolve(value: float | Schedule, *, steps: int) -> Callable[[int], float]:
    """A constant or a schedule -> a function of the step within a stage of `steps` steps."""
    if isinstance(value, Schedule):
        return value(steps)
    return lambda step: value
