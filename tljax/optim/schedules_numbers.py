"""Checks of a schedule's numbers, made when it is created and not at the step that uses them."""

import math

from tljax.errors import InputError


def number(schedule: object, *names: str) -> None:
    """Check that these fields are finite numbers; InputError otherwise."""
    for name in names:
        within(schedule, name, -math.inf, math.inf)


def within(schedule: object, name: str, low: float, high: float) -> None:
    """Check that the field is a finite number from `low` to `high`; InputError otherwise."""
    value = getattr(schedule, name)
    if not is_number(value) or not low <= value <= high:
        span = "a finite number" if math.isinf(low) else f"a finite number from {low:g} to {high:g}"
        raise InputError(f"{type(schedule).__name__}: {name} must be {span}, found {value!r}")


def positive(schedule: object, *names: str) -> None:
    """Check that these fields are finite numbers above 0; InputError otherwise."""
    for name in names:
        value = getattr(schedule, name)
        if not is_number(value) or value <= 0:
            raise InputError(
                f"{type(schedule).__name__}: {name} must be a finite number above 0, "
                f"found {value!r}"
            )


def is_number(value: object) -> bool:
    """Test whether the value is a finite int or float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
