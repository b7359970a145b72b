"""Options of the training loss: smoothed labels, class weights, mixup. A task applies them."""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array

from tljax.errors import InputError

_MIX = 0x3A  # separates these draws from dropout's, which use the same keys


@dataclass(frozen=True)
class Objective:
    """Options of the training loss; evaluation always uses the plain one.

    `label_smoothing` moves that share of each label evenly over all classes (Szegedy et al. 2015).
    `class_weights` is one weight per class, or "balanced": the number of examples over the number
    of classes times the examples of the class. `mixup` is the alpha of the Beta distribution that
    mixes each example with its neighbour in the batch (Zhang et al. 2017); 0 is off.
    """

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | Literal["balanced"] | None = None
    mixup: float = 0.0
    dice: float = 0.0  # of masks: times the soft Dice loss, added to the cross entropy

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise InputError(
                f"label_smoothing must be from 0 to below 1, found {self.label_smoothing}"
            )
        if not 0 <= self.mixup < float("inf"):
            raise InputError(f"mixup must be 0 or a positive number, found {self.mixup}")
        if not 0 <= self.dice < float("inf"):
            raise InputError(f"dice must be 0 or a positive number, found {self.dice}")
        if isinstance(self.class_weights, str):
            if self.class_weights != "balanced":
                raise InputError(
                    f'class_weights: expected numbers or "balanced", found {self.class_weights!r}'
                )
        elif self.class_weights is not None and not all(
            0 < w < float("inf") for w in self.class_weights
        ):
            raise InputError(f"class_weights must be positive numbers, found {self.class_weights}")


PLAIN = Objective()


def mixed(inputs: Any, keys: Array, *, alpha: float) -> tuple[Any, Array]:
    """Mix each example with its neighbour: `share * inputs + (1 - share) * neighbours`.

    `inputs` are an array of floats `[N, ...]`, or a tree of several. Returns the mixture and
    `share` `[N]`, drawn from Beta(alpha, alpha) with each example's key; the larger part is the
    example's own. The neighbour of example i is i - 1, that of example 0 the last one. InputError
    for whole numbers, of which no mixture is one.
    """
    share = jax.vmap(lambda key: jax.random.beta(jax.random.fold_in(key, _MIX), alpha, alpha))(keys)
    share = jnp.maximum(share, 1 - share)

    def mix(each: Array) -> Array:
        if not jnp.issubdtype(each.dtype, jnp.floating):
            raise InputError(f"mixup: expected floats to mix, found {each.dtype}")
        own = share.reshape(-1, *[1] * (each.ndim - 1)).astype(each.dtype)
        return own * each + (1 - own) * neighbours(each)

    return jax.tree.map(mix, inputs), share


def neighbours(batch: Array) -> Array:
    """Return the example that each example of the batch is mixed with."""
    return jnp.roll(batch, 1, axis=0)
