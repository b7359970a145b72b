"""Photographs classified by several augmented views: the mean of their logits."""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.data.augment import Augment, augment_batch
from tljax.data.draws import augment_keys
from tljax.inside.net import Net
from tljax.models import ops
from tljax.tree import Json, Params

Logits = Callable[[np.ndarray], Array]  # uint8 [N, size, size, 3] -> [N, outputs]


def ranges_of(stage: Json) -> Augment:
    """Return the ranges of a stage's augmentation; the lecture's where it had none."""
    ranges: Any = stage.get("augment")
    return Augment(**ranges) if isinstance(ranges, dict) else Augment()


def mean_over_views(net: Net, ranges: Augment, *, views: int) -> Logits:
    """Make the mean of the logits over views 0 to `views` - 1 of each photograph.

    View k is warped as the first example of pass k is in training (`augment_keys`), whatever the
    photograph and the batch it is in.
    """

    def view(params: Params, images: Array, number: Array) -> Array:
        passes = jnp.full(len(images), number)
        keys = augment_keys(passes, jnp.zeros_like(passes))
        return net.run(augment_batch(images, keys=keys, ranges=ranges), params)[0]

    program = ops.jit(view)

    def mean(images: np.ndarray) -> Array:
        images_ = jax.device_put(images, jax.local_devices()[0])
        total = program(net.params, images_, np.int32(0))
        for number in range(1, views):
            total = total + program(net.params, images_, np.int32(number))
        return total / views

    return mean
