"""A loss that is NaN or infinite: which step it was, and which leaf has gone with it."""

from typing import Any

import jax
import numpy as np

from tljax.errors import InputError
from tljax.train.manifest import leaves


def refuse(losses: np.ndarray, state: Any, *, stage: str, first_step: int) -> None:
    """InputError at the first step of a segment whose loss is not finite; `state` is the one after the segment."""
    bad = np.flatnonzero(~np.isfinite(losses))
    if bad.size:
        leaf = first_leaf(state.params)
        where = f"; {leaf} was the first leaf to be so after the segment" if leaf else ""
        raise InputError(
            f"stage {stage!r}: the loss of step {first_step + bad[0]} is not finite; lower the rate{where}"
        )


def taken(sums: dict[str, float], *, stage: str, steps: int, epoch: int) -> int:
    """Of the steps of an epoch, those that were not passed over; InputError if none was."""
    if sums.get("skipped") == steps:
        raise InputError(f"stage {stage!r}: no step of epoch {epoch} had a finite loss and gradient; lower the rate")
    return steps - int(sums.get("skipped", 0))


def first_leaf(params: dict[str, Any]) -> str | None:
    """The path of the first leaf, in order of paths, that holds NaN or infinity."""
    for path, leaf in leaves(params).items():
        if not np.isfinite(np.asarray(jax.device_get(leaf), np.float32)).all():
            return path
    return None
