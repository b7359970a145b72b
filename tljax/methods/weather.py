"""Fog and snow over a photograph: pure functions of a key.

Images are float32 `[side, side, 3]` in 0..1. Constants are those of photographs of 224 pixels.
"""

# pyright: strict
# pyright: reportUnknownMemberType=false

import jax
import jax.numpy as jnp
from jax import Array

from tljax.methods.lens import SIDE, enlarged, filtered, trail

Snow = tuple[float, float, float, float, float, float, float]
_GREY = (0.299, 0.587, 0.114)


def fog(image: Array, key: Array, constants: tuple[float, float]) -> Array:
    """Add fog of a density, with a fractal's patches, and keep the brightest value."""
    density, decay = constants
    side, brightest = image.shape[0], image.max()
    patches = plasma(key, side=side, decay=decay)[:side, :side, None]
    return (image + density * patches) * brightest / (brightest + density)


def plasma(key: Array, *, side: int, decay: float) -> Array:
    """Draw a fractal map in 0..1, of the next power of two, by diamonds and squares.

    Fournier, Fussell and Carpenter 1982, "Computer rendering of stochastic models". Each level has
    uniform noise `decay ** 2` times smaller than the one before; the map continues at its edges.
    """
    grid, width = jnp.zeros((1, 1)), 1.0
    while len(grid) < side:
        key, *keys = jax.random.split(key, 4)
        noise = [jax.random.uniform(k, grid.shape, minval=-width, maxval=width) for k in keys]
        below, right = jnp.roll(grid, -1, 0), jnp.roll(grid, -1, 1)
        centre = (grid + below + right + jnp.roll(below, -1, 1)) / 4 + noise[0]
        across = (grid + right + centre + jnp.roll(centre, 1, 0)) / 4 + noise[1]
        down = (grid + below + centre + jnp.roll(centre, 1, 1)) / 4 + noise[2]
        upper = jnp.stack([grid, across], -1).reshape(len(grid), -1)
        lower = jnp.stack([down, centre], -1).reshape(len(grid), -1)
        grid = jnp.stack([upper, lower], 1).reshape(2 * len(grid), -1)
        width /= decay**2
    low = grid.min()
    return (grid - low) / jnp.maximum(grid.max() - low, 1e-12)


def snow(image: Array, key: Array, constants: Snow) -> Array:
    """Whiten the photograph and let snow fall across it, in trails at a drawn angle."""
    mean, deviation, zoom, least, radius, sigma, share = constants
    side = image.shape[0]
    drawn, turn = jax.random.split(key)
    flakes = mean + deviation * jax.random.normal(drawn, (side, side, 1))
    flakes = enlarged(flakes, max(1.0, zoom * side / SIDE))
    flakes = jnp.clip(jnp.where(flakes < least, 0.0, flakes), 0.0, 1.0)
    angle = jax.random.uniform(turn, minval=-135.0, maxval=-45.0)
    flakes = filtered(flakes, trail(side, angle, radius, sigma))
    grey = (image * jnp.asarray(_GREY)).sum(-1, keepdims=True)
    pale = share * image + (1 - share) * jnp.maximum(image, grey * 1.5 + 0.5)
    return pale + flakes + flakes[::-1, ::-1]
