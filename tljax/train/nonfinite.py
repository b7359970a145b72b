"""A loss that is NaN or infinite: its first step, and the first leaf that is not finite."""

# pyright: strict

import jax
import numpy as np

from tljax.errors import InputError
from tljax.train.step import Params, State
from tljax.tree import leaves


def first_step(losses: np.ndarray, *, of: int) -> int | None:
    """Find the first step with a non-finite loss; None if there is none.

    The segment begins at step `of`.
    """
    bad = np.flatnonzero(~np.isfinite(losses))
    return of + int(bad[0]) if bad.size else None


def refuse(state: State, *, stage: str, step: int) -> None:
    """Raise an InputError for the loss of this step; `state` is the one after its segment."""
    leaf = first_leaf(state.params)
    where = f"; {leaf} was the first leaf to be so after the segment" if leaf else ""
    raise InputError(
        f"stage {stage!r}: the loss of step {step} is not finite; lower the rate{where}"
    )


def refuse_state(state: State, *, stage: str, step: int) -> None:
    """Raise an InputError where a parameter after `step` steps is not finite.

    A step with a finite loss may have left it so.
    """
    if leaf := first_leaf(state.params):
        raise InputError(
            f"stage {stage!r}: {leaf} is not finite after {step} steps; lower the rate"
        )


def taken(sums: dict[str, float], *, stage: str, steps: int, epoch: int) -> int:
    """Count the steps of an epoch that were not skipped; InputError if all were."""
    if sums.get("skipped") == steps:
        raise InputError(
            f"stage {stage!r}: no step of epoch {epoch} had a finite loss and gradient; "
            "lower the rate"
        )
    return steps - int(sums.get("skipped", 0))


def first_leaf(params: Params) -> str | None:
    """Find the path of the first leaf, in order of paths, that holds NaN or infinity."""
    for path, leaf in leaves(params).items():
        if not np.isfinite(np.asarray(jax.device_get(leaf), np.float32)).all():
            return path
    return None
