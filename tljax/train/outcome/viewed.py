"""Photographs, or their pixels, classified by several augmented views: the mean of the logits."""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.data import augment
from tljax.data.augment import Augment, affine, inverse, warp
from tljax.data.draws import augment_keys
from tljax.inside.net import Net
from tljax.models import ops
from tljax.tasks.pixels import resized
from tljax.tree import Json, Params

Logits = Callable[[np.ndarray], Array]  # uint8 [N, H, W, 3] -> [N, outputs], or [N, H, W, classes]


def ranges_of(stage: Json) -> Augment:
    """Return the ranges of a stage's augmentation; the lecture's where it had none."""
    ranges: Any = stage.get("augment")
    return augment.read(ranges) if isinstance(ranges, dict) else Augment()


def mean_over_views(net: Net, ranges: Augment, *, views: int) -> Logits:
    """Make the mean of the logits over views 0 to `views` - 1 of each photograph.

    View k is warped as the first example of pass k is in training (`augment_keys`), whatever the
    photograph and the batch it is in.
    """

    def view(params: Params, images: Array, number: Array) -> Array:
        return net.run(warp(images, *_maps(images, number, ranges)), params)[0]

    program = ops.jit(view)

    def mean(images: np.ndarray) -> Array:
        images_ = jax.device_put(images, jax.local_devices()[0])
        total = program(net.params, images_, np.int32(0))
        for number in range(1, views):
            total = total + program(net.params, images_, np.int32(number))
        return total / views

    return mean


def mean_of_pixels(net: Net, ranges: Augment, *, views: int) -> Logits:
    """Make the mean of each pixel's logits over the photograph and those of its views that hold it.

    The views are those of `mean_over_views`; their logits `[N, H, W, classes]` are warped back by
    the inverse of the map that warped the photograph.
    """

    def plain(params: Params, images: Array) -> Array:
        return resized(net.run(images, params)[0], (images.shape[1], images.shape[2]))

    def back(params: Params, images: Array, number: Array) -> tuple[Array, Array]:
        maps = _maps(images, number, ranges)
        C, d = inverse(*maps)
        logits = warp(plain(params, warp(images, *maps)), C, d)
        inside = _inside(images, C, d)[..., None]
        return jnp.where(inside, logits, 0.0), inside

    whole, view = ops.jit(plain), ops.jit(back)

    def mean(images: np.ndarray) -> Array:
        images_ = jax.device_put(images, jax.local_devices()[0])
        total, held = whole(net.params, images_), 1.0
        for number in range(views):
            logits, inside = view(net.params, images_, np.int32(number))
            total, held = total + logits, held + inside
        return total / held

    return mean


def _maps(images: Array, number: Array, ranges: Augment) -> tuple[Array, Array]:
    """Return the map of view `number` for each image."""
    passes = jnp.full(len(images), number)
    keys = augment_keys(passes, jnp.zeros_like(passes))
    return affine(keys, height=images.shape[1], width=images.shape[2], ranges=ranges)


def _inside(images: Array, C: Array, d: Array) -> Array:
    """Tell of each pixel whether its place in a view lies within it: bool `[N, H, W]`."""
    _, height, width, _ = images.shape
    row, col = jnp.arange(height)[:, None], jnp.arange(width)[None, :]
    y, x = (
        C[:, i, 0, None, None] * row + C[:, i, 1, None, None] * col + d[:, i, None, None]
        for i in (0, 1)
    )
    close = 0.01  # a place on the edge is within, whatever the map was rounded to
    return (y > -close) & (y < height - 1 + close) & (x > -close) & (x < width - 1 + close)
