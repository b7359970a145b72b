"""Photometric augmentation: blur, saturation, contrast, brightness and noise of each image."""

import dataclasses

import jax
import jax.numpy as jnp

from tljax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Photometric:
    """The ranges of random changes of the pixels' values, as fractions of the full range 0..255.

    Each of the five is drawn with `probability`, whatever the others are, then its amount from the
    whole range: by default a quarter of the images stay as they are, which the network must know
    best. A network that has seen them holds better on photographs from another camera, or in
    another light; noise is the one that teaches most (Rusak et al. 2020, "A simple way to make
    neural networks robust against diverse image corruptions"). Hashable.
    """

    blur: float = 0.02  # Gaussian; its deviation up to this fraction of the shorter side
    saturation: float = 0.5  # times 1 +- saturation, about each pixel's grey
    contrast: float = 1.0  # times 1 + contrast at most, divided by it at least, about the mean
    brightness: float = 0.3  # added, +-
    noise: float = 0.3  # Gaussian; its deviation up to this
    probability: float = 0.25  # of each

    def __post_init__(self) -> None:
        bounds = {"blur": 0.25, "saturation": 1.0, "contrast": 10.0, "brightness": 1.0}
        for name, bound in (bounds | {"noise": 1.0, "probability": 1.0}).items():
            value = getattr(self, name)
            if not 0.0 <= value <= bound:  # false for nan as well
                raise InputError(
                    f"Photometric.{name}: expected a number from 0 to {bound:g}, found {value!r}"
                )


def changed(
    images: jax.Array, keys: jax.Array, *, ranges: Photometric, strength: jax.Array | float = 1.0
) -> jax.Array:
    """Change float32 images `[B, H, W, 3]` in 0..255 at random, and cut them to that range.

    Image i is a function of the typed key i alone. `strength` multiplies the ranges, and may be
    traced: 0 changes nothing.
    """

    def one(image: jax.Array, key: jax.Array) -> jax.Array:
        often, much, grain = jax.random.split(jax.random.fold_in(key, 1), 3)
        drawn = jax.random.uniform(often, (5,)) < ranges.probability
        amount = strength * drawn * jax.random.uniform(much, (5,), minval=-1.0)
        if ranges.blur:
            side = min(image.shape[:2])
            image = _blurred(image, ranges.blur * side * jnp.abs(amount[0]))
        grey = image.mean(-1, keepdims=True)
        image = image + ranges.saturation * amount[1] * (image - grey)
        more = (1.0 + ranges.contrast) ** amount[2] - 1.0
        image = image + more * (image - image.mean((0, 1)))
        image = image + 255.0 * ranges.brightness * amount[3]
        if ranges.noise:
            deviation = 255.0 * ranges.noise * jnp.abs(amount[4])
            image = image + deviation * jax.random.normal(grain, image.shape)
        return jnp.clip(image, 0.0, 255.0)

    return jax.vmap(one)(images, keys)


def _blurred(image: jax.Array, deviation: jax.Array) -> jax.Array:
    """Blur `[H, W, C]` by a Gaussian of this deviation in pixels; weights outside are left out."""

    def weights(length: int) -> jax.Array:
        place = jnp.arange(length, dtype=jnp.float32)
        apart = (place[:, None] - place) / jnp.maximum(deviation, 0.05)  # 0.05 is the identity
        weight = jnp.exp(-0.5 * apart**2)
        return weight / weight.sum(1, keepdims=True)

    rows, columns = (weights(length) for length in image.shape[:2])
    exact = jax.lax.Precision.HIGHEST
    return jnp.einsum("ik,jl,klc->ijc", rows, columns, image, precision=exact)
