"""Photographs shifted from those that were trained on, on the device: ImageNet-C's common kinds.

Kinds and severities are those of Hendrycks and Dietterich 2019, "Benchmarking neural network
robustness to common corruptions and perturbations", for photographs of 224 pixels; lengths are
scaled to the side of the images. Of its fifteen kinds three are left out: frost needs photographs
of frost, glass blur exchanges pixels one after another, and elastic changes its meaning between
severities. `resolution` is ours: the photograph made smaller and enlarged again.
"""

# pyright: strict
# pyright: reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportUnknownLambdaType=false
# pyright: reportUnknownArgumentType=false

import functools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.errors import InputError
from tljax.methods import lens, weather
from tljax.models import ops

# An image [side, side, 3] in 0..1, a key, and a severity's constants -> the image, not yet cut.
Corrupt = Callable[[Array, Array, Any], Array]
BATCH, TOGETHER = 32, 4  # images in a call, and at a time: the copies of a blur take memory


def _gaussian_noise(image: Array, key: Array, deviation: float) -> Array:
    return image + deviation * jax.random.normal(key, image.shape)


def _shot_noise(image: Array, key: Array, photons: float) -> Array:
    return jax.random.poisson(key, image * photons).astype(jnp.float32) / photons


def _impulse_noise(image: Array, key: Array, share: float) -> Array:
    """Set a share of the values to black or white, half of them each."""
    drawn = jax.random.uniform(key, image.shape)
    return jnp.where(drawn < share / 2, 0.0, jnp.where(drawn < share, 1.0, image))


def _brightness(image: Array, key: Array, more: float) -> Array:
    """Raise the value V of HSV at the same hue and saturation; black becomes grey."""
    del key
    value = image.max(-1, keepdims=True)
    raised = jnp.minimum(value + more, 1.0)
    return jnp.where(value > 0, image * raised / jnp.where(value > 0, value, 1.0), raised)


def _contrast(image: Array, key: Array, share: float) -> Array:
    """Move every pixel towards its channel's mean over the image."""
    del key
    means = image.mean((0, 1), keepdims=True)
    return (image - means) * share + means


@dataclass(frozen=True)
class Kind:
    """A kind of corruption: its function, and the constants of severities 1 to 5."""

    function: Corrupt
    severities: Sequence[Any]


KINDS: dict[str, Kind] = {
    "gaussian_noise": Kind(_gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot_noise": Kind(_shot_noise, (60.0, 25.0, 12.0, 5.0, 3.0)),
    "impulse_noise": Kind(_impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27)),
    "defocus_blur": Kind(lens.defocus, ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))),
    "motion_blur": Kind(lens.motion, ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))),
    "zoom_blur": Kind(
        lens.zoomed, ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
    ),
    "snow": Kind(
        weather.snow,
        (
            (0.1, 0.3, 3.0, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2.0, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4.0, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    ),
    "fog": Kind(weather.fog, ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))),
    "brightness": Kind(_brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": Kind(_contrast, (0.4, 0.3, 0.2, 0.1, 0.05)),
    "pixelate": Kind(lens.pixelated, (0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg": Kind(lens.jpeg, (25, 18, 15, 10, 7)),
    "resolution": Kind(lens.smaller, (0.75, 0.5, 0.35, 0.25, 0.15)),
}
SEVERITIES = range(1, 6)


def corrupted(images: np.ndarray, kind: str, *, severity: int, seed: int = 0) -> np.ndarray:
    """Corrupt images uint8 `[N, side, side, 3]`; image i draws from a stream of its own.

    InputError for an unknown kind or severity.
    """
    if kind not in KINDS:
        raise InputError(f"corruption: expected one of {', '.join(KINDS)}; found {kind!r}")
    if severity not in SEVERITIES:
        raise InputError(f"severity: expected 1 to 5, found {severity}")
    root = jax.random.fold_in(jax.random.key(seed), zlib.crc32(kind.encode()))
    program, size = _program(kind, severity), min(BATCH, -(-len(images) // TOGETHER) * TOGETHER)
    parts: list[np.ndarray] = []
    for first in range(0, len(images), size):
        rows = np.arange(first, first + size)  # the last batch is padded with the last image
        batch = np.asarray(images[np.minimum(rows, len(images) - 1)])
        parts.append(np.asarray(program(root, batch, rows.astype(np.uint32))))
    return np.concatenate(parts)[: len(images)]


@functools.cache
def _program(kind: str, severity: int) -> Any:
    """Compile a corruption of a batch `(root key, images, their numbers) -> images`, once."""
    of = KINDS[kind]
    constants = of.severities[severity - 1]

    def one(image: Array, key: Array) -> Array:
        made: Array = of.function(image.astype(jnp.float32) / 255, key, constants)
        # Rounded down, as the published images are; the small term keeps a whole number that
        # rounding error left just below itself.
        return jnp.floor(jnp.clip(made, 0.0, 1.0) * 255 + 1e-3).astype(jnp.uint8)

    def program(root: Array, images: Array, numbers: Array) -> Array:
        keys = jax.vmap(lambda number: jax.random.fold_in(root, number))(numbers)
        pairs: Any = (images, keys)
        return jax.lax.map(lambda pair: one(*pair), pairs, batch_size=TOGETHER)

    compiled: Any = ops.jit(program)
    return compiled
