"""Maps of pixels on the device: masks are warped as their photographs, scores resized to them."""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

VOID = 255  # a pixel without a class: neither learnt from nor scored


def warp(masks: Array | np.ndarray, A: Array, b: Array) -> Array:
    """Take the nearest pixel of masks `[B, H, W]` at `A @ (row, col) + b`; `VOID` outside.

    With the same `A` and `b` it is what `augment.warp` does to the photographs, whose edges repeat
    outside: there nothing is known of a class.
    """
    _, height, width = masks.shape
    row = jnp.arange(height, dtype=jnp.float32)[:, None]
    col = jnp.arange(width, dtype=jnp.float32)[None, :]

    def one(mask: Array, A: Array, b: Array) -> Array:
        y = jnp.floor(A[0, 0] * row + A[0, 1] * col + b[0] + 0.5).astype(jnp.int32)
        x = jnp.floor(A[1, 0] * row + A[1, 1] * col + b[1] + 0.5).astype(jnp.int32)
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        place = jnp.clip(y, 0, height - 1) * width + jnp.clip(x, 0, width - 1)
        pixels = mask.reshape(-1).at[place].get(mode="promise_in_bounds")
        return jnp.where(inside, pixels, jnp.asarray(VOID, mask.dtype))

    return jax.vmap(one)(jnp.asarray(masks), A, b)


def resized(x: Array, shape: tuple[int, int]) -> Array:
    """Resize `[N, h, w, C]` to `[N, H, W, C]`, bilinearly."""
    if x.shape[1:3] == tuple(shape):
        return x
    return jax.image.resize(x, (x.shape[0], *shape, x.shape[3]), "bilinear", antialias=False)
