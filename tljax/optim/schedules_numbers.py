"""What schedules ask of their numbers: a mistake is named when it is written, not at the step that meets it."""

import math
from typing import Any

from tljax.errors import InputError


def number(schedule: Any, *names: str) -> None:
    """InputError unless these fields are finite numbers."""
    for name in names:
        within(schedule, name, -math.inf, math.inf)


def within(schedule: Any, name: str, low: float, high: float) -> None:
    """InputError unless the field is a finite number from `low` to `high`."""
    value = getattr(schedule, name)
    if not is_number(value) or not low <= value <= high:
        span = "a finite number" if math.isinf(low) else f"a finite number from {low:g} to {high:g}"
        raise InputError(f"{type(schedule).__name__}: {name} must be {span}, found {value!r}")


def positive(schedule: Any, *names: str) -> None:
    """InputError unless these fields are finite numbers above 0."""
    for name in names:
        value = getattr(schedule, name)
        if not is_number(value) or value <= 0:
            raise InputError(f"{type(schedule).__name__}: {name} must be a finite number above 0, found {value!r}")


def is_number(value: Any) -> bool:
    """Whether it is a finite int or float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
