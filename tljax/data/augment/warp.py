"""Augmentation of a batch: one random affine map per image, drawn from its key."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tljax.data.augment.photometric import Photometric, changed
from tljax.data.text.augment import TextAugment
from tljax.errors import InputError
from tljax.tree import Json


@dataclasses.dataclass(frozen=True)
class Augment:
    """The ranges of the random warp; every default is the lecture's.

    `photometric` changes the values of the warped pixels too. Hashable, so it can be a static
    argument of jit.
    """

    rotation_deg: float = 40.0  # +- degrees
    width_shift: float = 0.2  # +- fraction of the width
    height_shift: float = 0.2  # +- fraction of the height
    shear_deg: float = math.degrees(0.2)  # +- degrees; the lecture's 0.2 was radians
    zoom: float = 0.2  # each axis its own factor in 1 +- zoom
    horizontal_flip: bool = True  # mirrored with probability one half
    photometric: Photometric | None = None

    def __post_init__(self) -> None:
        for name, bound in {
            "rotation_deg": 180.0,
            "width_shift": 1.0,
            "height_shift": 1.0,
            "shear_deg": 89.0,
            "zoom": 0.99,
        }.items():
            value = getattr(self, name)
            if not 0.0 <= value <= bound:  # false for nan as well
                raise InputError(
                    f"Augment.{name}: expected a number from 0 to {bound:g}, found {value!r}"
                )


Augmentation = Augment | TextAugment
Maps = tuple[jax.Array, jax.Array]  # from output to input pixels: A [B, 2, 2], b [B, 2]


def read(ranges: Json) -> Augment:
    """Read an augmentation as `dataclasses.asdict` wrote it."""
    warp_, change = dict(ranges), ranges.get("photometric")
    warp_["photometric"] = Photometric(**change) if change else None
    return Augment(**warp_)


class Params(NamedTuple):
    """One warp per image: float32 [B] each, `flip` bool [B]. Shifts are in pixels of the image."""

    rotation_deg: jax.Array
    shift_rows: jax.Array
    shift_cols: jax.Array
    shear_deg: jax.Array
    zoom_rows: jax.Array
    zoom_cols: jax.Array
    flip: jax.Array


def draw(
    keys: jax.Array, *, height: int, width: int, ranges: Augment, strength: jax.Array | float = 1.0
) -> Params:
    """Draw a warp for each key (typed, [B]), a function of that key alone.

    The ranges are those of Keras's `ImageDataGenerator.get_random_transform` times `strength`,
    which may be traced. Strength 0 is the identity: the probability of a flip shrinks with it, and
    stays one half above 1.
    """
    uniform = jax.vmap(lambda k: jax.random.uniform(k, (7,), jnp.float32))(keys)
    signed = strength * (2.0 * uniform - 1.0)
    return Params(
        rotation_deg=ranges.rotation_deg * signed[:, 0],
        shift_rows=ranges.height_shift * height * signed[:, 1],
        shift_cols=ranges.width_shift * width * signed[:, 2],
        shear_deg=ranges.shear_deg * signed[:, 3],
        zoom_rows=1.0 + ranges.zoom * signed[:, 4],
        zoom_cols=1.0 + ranges.zoom * signed[:, 5],
        flip=ranges.horizontal_flip & (uniform[:, 6] < 0.5 * jnp.minimum(strength, 1.0)),
    )


def matrices(params: Params, *, height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """Compute maps from output to input pixel, `A @ (row, col) + b`: A [B, 2, 2], b [B, 2] float32.

    Rotation, shift, shear and zoom are those of Keras 3's `apply_affine_transform` (its tx is
    `shift_cols`, ty `shift_rows`, zx `zoom_cols`, zy `zoom_rows`), then comes the flip.
    """
    rotation, shear = jnp.deg2rad(params.rotation_deg), jnp.deg2rad(params.shear_deg)
    cos, sin = jnp.cos(rotation), jnp.sin(rotation)
    # rotation @ [[1, -sin(shear)], [0, cos(shear)]] @ zoom in (x, y), multiplied out, then as
    # (row, col): a matmul may run in bfloat16 or TF32 and miss by pixels.
    rows, cols = params.zoom_rows, params.zoom_cols
    per_row = jnp.stack([jnp.cos(rotation + shear) * rows, -jnp.sin(rotation + shear) * rows], -1)
    per_col = jnp.stack([sin * cols, cos * cols], -1)
    shift = jnp.stack(
        [
            sin * params.shift_cols + cos * params.shift_rows,
            cos * params.shift_cols - sin * params.shift_rows,
        ],
        -1,
    )
    # Keras passes (height, width) to a function of (x, y): an image that is not square turns about
    # a transposed centre. Kept, so that the same parameters give Keras's image.
    centre_row, centre_col = width / 2 - 0.5, height / 2 - 0.5
    b = (
        jnp.array([centre_row, centre_col], jnp.float32)
        + shift
        - per_row * centre_row
        - per_col * centre_col
    )
    flip = params.flip[:, None]
    b = jnp.where(flip, b + per_col * (width - 1), b)
    per_col = jnp.where(flip, -per_col, per_col)
    return jnp.stack([per_row, per_col], -1), b


def warp(images: jax.Array | np.ndarray, A: jax.Array, b: jax.Array) -> jax.Array:
    """Resample [B, H, W, C] at `A @ (row, col) + b`, bilinearly: float32.

    Outside the image the nearest edge is repeated. Whole pixels are gathered in the input's dtype,
    so uint8 input is never copied to float32 first.
    """
    _, height, width, channels = images.shape
    row = jnp.arange(height, dtype=jnp.float32)[:, None]
    col = jnp.arange(width, dtype=jnp.float32)[None, :]
    # Steps to the next row and column of the flattened image.
    below, right = width * (height > 1), int(width > 1)

    def one(image, A: jax.Array, b: jax.Array) -> jax.Array:
        y = jnp.clip(A[0, 0] * row + A[0, 1] * col + b[0], 0, height - 1)
        x = jnp.clip(A[1, 0] * row + A[1, 1] * col + b[1], 0, width - 1)
        # The last row is the lower one of its pair, with all the weight: no index needs clipping.
        top = jnp.minimum(y.astype(jnp.int32), max(0, height - 2))
        left = jnp.minimum(x.astype(jnp.int32), max(0, width - 2))
        down, across = (y - top)[..., None], (x - left)[..., None]
        pixels, corner = image.reshape(height * width, channels), top * width + left

        def pixel(step: int) -> jax.Array:
            return pixels.at[corner + step].get(mode="promise_in_bounds").astype(jnp.float32)

        upper = (1 - across) * pixel(0) + across * pixel(right)
        lower = (1 - across) * pixel(below) + across * pixel(below + right)
        return (1 - down) * upper + down * lower

    return jax.vmap(one)(images, A, b)


def inverse(A: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Invert maps: `p = A @ q + b` becomes `q = C @ p + d`, with C `[B, 2, 2]` and d `[B, 2]`."""
    (a, c), (e, g) = ((A[:, i, 0], A[:, i, 1]) for i in (0, 1))
    C = jnp.stack([jnp.stack([g, -c], -1), jnp.stack([-e, a], -1)], 1)
    C = C / (a * g - c * e)[:, None, None]
    return C, -(C * b[:, None, :]).sum(-1)


def augment_batch(
    images: jax.Array | np.ndarray,
    *,
    keys: jax.Array,
    ranges: Augment,
    strength: jax.Array | float = 1.0,
    maps: Maps | None = None,
) -> jax.Array:
    """Change [B, H, W, 3] (uint8, or float in 0..255) at random: float32 [B, H, W, 3] in 0..255.

    `keys` [B] are typed keys, one per image (`draws.augment_keys`), so an image does not depend on
    the batch that it is drawn in. `maps` are those of `affine` where they were drawn before.
    """
    _, height, width, _ = images.shape
    maps = maps or affine(keys, height=height, width=width, ranges=ranges, strength=strength)
    if ranges.photometric is None:
        return warp(images, *maps)
    return changed(warp(images, *maps), keys, ranges=ranges.photometric, strength=strength)


def affine(
    keys: jax.Array, *, height: int, width: int, ranges: Augment, strength: jax.Array | float = 1.0
) -> Maps:
    """Draw the maps of `matrices` for each key: the same for an image and for its dense label."""
    params = draw(keys, height=height, width=width, ranges=ranges, strength=strength)
    return matrices(params, height=height, width=width)
