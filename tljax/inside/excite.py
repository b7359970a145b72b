"""Images that excite a unit most: patches of photographs, and images made by gradient ascent."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.inside.layers import check, margin, receptive_field
from tljax.inside.net import Net, in_batches
from tljax.models import ops
from tljax.tree import Params

JITTER = 4  # pixels; Mordvintsev et al. 2015, "Inceptionism"
# Towards grey at each step, and blur: Yosinski et al. 2015, "Deep visualization".
DECAY, BLUR_EVERY = 0.005, 8
SHARP = 0.25  # final part of the steps, without blur: it would undo the gains of a unit for edges
STEPS, RATE = 64, 18.0  # RATE: grey levels that an average pixel moves in the first step


@dataclass(frozen=True)
class Peaks:
    """Where each unit of a layer is strongest in each photograph, and how strong, within borders.

    `strength` is `[N, C]`; `place` holds rows and columns, `[N, C, 2]`.
    """

    layer: str
    strength: np.ndarray
    place: np.ndarray


def peaks(net: Net, images: np.ndarray, *, layers: Sequence[str]) -> dict[str, Peaks]:
    """Find the peaks of every unit of these layers, in one pass over the photographs.

    Places at the border, which see padding, are left out.
    """
    borders = {layer: margin(net, layer) for layer in layers}

    def program(params: Params, batch: Array) -> list[tuple[Array, Array]]:
        out = net.run(batch, params)[1]
        return [_peaks(out[f"base/{layer}"], border) for layer, border in borders.items()]

    found = in_batches(program, net.params, images)
    return {layer: Peaks(layer, *each) for layer, each in zip(layers, found, strict=True)}


def _peaks(activation: Array, border: int) -> tuple[Array, Array]:
    rows, columns = activation.shape[1:3]
    inner = activation[:, border : rows - border, border : columns - border]
    flat = inner.reshape(len(inner), -1, inner.shape[-1])
    place = jnp.stack(jnp.divmod(flat.argmax(1), inner.shape[2]), -1)
    return flat.max(1), place + border


def top_patches(
    net: Net, images: np.ndarray, found: Peaks, *, units: Sequence[int], count: int
) -> tuple[list[list[np.ndarray]], np.ndarray]:
    """Crop the `count` patches that excite each unit most, one per photograph, strongest first.

    Returns the crops and the activations `[units, count]`. A crop is the receptive field of the
    place where the unit is strongest (Zeiler and Fergus 2014).
    """
    strength, place = found.strength[:, units], found.place[:, units]
    best = np.argsort(-strength, axis=0, kind="stable")[:count]
    field = receptive_field(net, found.layer)
    crops = [[field.crop(images[i], *place[i, u]) for i in best[:, u]] for u in range(len(units))]
    return crops, np.take_along_axis(strength, best, 0).T


def strongest_units(found: Peaks, *, count: int) -> list[int]:
    """Select the channels that differ most between photographs.

    They are compared by the standard deviation of their maxima.
    """
    return np.argsort(-found.strength.std(0), kind="stable")[:count].tolist()


def maximise(
    net: Net, *, layer: str, units: Sequence[int], key: Array, steps: int = STEPS
) -> tuple[np.ndarray, np.ndarray]:
    """Make an image that excites each unit, by gradient ascent from grey noise.

    Returns float32 `[U, size, size, 3]` in 0..255, and each unit's mean activation before and
    after, `[2, U]`. The ascent (Erhan et al. 2009) is on the channel's mean; at each step the image
    is shifted at random and pulled towards grey, and at some it is blurred. A unit that is 0
    everywhere in the noise has no gradient there, and stays at 0.
    """
    check(net, layer)
    start = 128.0 + 16.0 * jax.random.normal(key, (len(units), net.side, net.side, 3))

    def excitement(x: Array, params: Params) -> Array:
        activation = net.run(x, params)[1][f"base/{layer}"]
        return activation[jnp.arange(len(units)), ..., jnp.asarray(units)].mean((1, 2))

    def program(params: Params, x: Array) -> tuple[Array, Array]:
        def step(x: Array, i: Array) -> tuple[Array, None]:
            shift = jax.random.randint(jax.random.fold_in(key, i), (2,), -JITTER, JITTER + 1)
            g = jax.grad(lambda x: excitement(x, params).sum())(jnp.roll(x, shift, (1, 2)))
            g = jnp.roll(g, -shift, (1, 2))
            g = g / (jnp.sqrt((g**2).mean((1, 2, 3), keepdims=True)) + 1e-12)
            x = x + RATE * (1 - i / steps) * g
            x = 128 + (1 - DECAY) * (x - 128)
            blur = (i % BLUR_EVERY == 0) & (i < (1 - SHARP) * steps)
            return jnp.clip(jnp.where(blur, _blurred(x), x), 0, 255), None

        end, _ = jax.lax.scan(step, x, jnp.arange(steps))
        return end, jnp.stack([excitement(x, params), excitement(end, params)])

    end, strength = ops.jit(program)(net.params, start)
    return np.asarray(end), np.asarray(strength)


def _blurred(x: Array) -> Array:
    """Blur with weights 1 4 1 along rows and columns; edges are repeated."""
    for axis in (1, 2):
        padded = jnp.pad(x, [(1, 1) if a == axis else (0, 0) for a in range(4)], mode="edge")
        before, after = (
            jax.lax.slice_in_dim(padded, start, start + x.shape[axis], axis=axis)
            for start in (0, 2)
        )
        x = (before + 4 * x + after) / 6
    return x
