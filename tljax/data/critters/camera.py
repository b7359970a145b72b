"""The camera: fur and its pattern, shading, light, blur and noise on a drawing."""

import functools
import math
import random

import numpy as np
from PIL import Image, ImageFilter

from tljax.data.critters.pen import Colour, Frame

FIELD = 1024  # side of a texture, in its own pixels


def _smooth(rng: np.random.RandomState, cells_y: int, cells_x: int) -> np.ndarray:
    """Draw smooth noise [FIELD, FIELD] of mean 0 and deviation 1.

    It has about `cells_y` by `cells_x` bumps.
    """
    coarse = Image.fromarray(rng.standard_normal((cells_y, cells_x)).astype(np.float32))
    fine = np.asarray(coarse.resize((FIELD, FIELD), Image.Resampling.BICUBIC))
    return (fine - fine.mean()) / fine.std()


@functools.cache
def field(name: str) -> np.ndarray:
    """Draw a texture, uint8 [FIELD, FIELD].

    Fur and ground are relief around 128, which is none; patterns are amounts from 0 to 255.
    """
    rng = np.random.RandomState(sum(map(ord, name)))
    if name == "fur":
        values = (
            128
            + 34
            * (_smooth(rng, 130, 260) + _smooth(rng, 60, 110) + 0.7 * _smooth(rng, 24, 24))
            / 1.6
        )
    elif name == "ground":
        values = (
            128 + 40 * (_smooth(rng, 60, 200) + _smooth(rng, 30, 40) + _smooth(rng, 8, 8)) / 1.7
        )
    elif name == "blotch":
        values = 255 / (1 + np.exp(-9 * (_smooth(rng, 17, 17) + 0.2 * _smooth(rng, 60, 60) - 0.35)))
    elif name == "stripes":
        y = np.linspace(0, 34 * 2 * math.pi, FIELD)[:, None]
        values = 255 / (
            1
            + np.exp(
                -5 * (np.sin(y + 1.6 * _smooth(rng, 22, 22)) - 0.2 + 0.4 * _smooth(rng, 40, 40))
            )
        )
    else:  # spots
        values = 255 / (1 + np.exp(-9 * (_smooth(rng, 44, 44) - 1.0)))
    return np.clip(values, 0, 255).astype(np.uint8)


def ticks(size: int, start: float, step: float) -> np.ndarray:
    """Return the row or column of a field that each row or column of the image shows: [size].

    Fields repeat.
    """
    return np.floor(start + step * np.arange(0.5, size)).astype(np.intp) % FIELD


@functools.cache
def _grid(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    x, y = np.broadcast_to(axis, (size, size)), np.broadcast_to(axis[:, None], (size, size))
    return x, y, x * x + y * y


@functools.cache
def _sensor(size: int) -> np.ndarray:
    return np.random.RandomState(11).standard_normal((2 * size, 2 * size, 3)).astype(np.float32)


def photograph(
    canvas: Image.Image, rng: random.Random, *, pattern: str, ink: Colour, frame: Frame, size: int
) -> np.ndarray:
    """Photograph the canvas with fur, pattern, shading, light and lens: uint8 [size, size, 3].

    `frame` is the animal's on the canvas, not turned: texture moves and grows with it.
    """
    scale = canvas.width // size
    small = canvas.reduce(scale)
    planes = np.asarray(small).transpose(2, 0, 1).astype(np.float32, order="C")
    colour, height = planes[:3], planes[3]
    right, down, origin = frame
    # A head radius is 56 texture pixels.
    step_x, step_y = 56 * scale / right.real, 56 * scale / down.imag
    x = ticks(size, FIELD * rng.uniform(0.3, 0.7) - origin.real / scale * step_x, step_x)
    y = ticks(size, FIELD * rng.uniform(0.3, 0.7) - origin.imag / scale * step_y, step_y)
    animal = np.clip((height - 60) / 90, 0, 1)
    if pattern != "plain":
        marked = field(pattern)[y].take(x, 1) * (rng.uniform(0.5, 0.9) / 255) * animal
        marked *= np.clip((222 - height) / 10, 0, 1)
        colour += marked * (np.array(ink, np.float32)[:, None, None] - colour)
    hairy = animal * np.clip((238 - height) / 12, 0.1, 1) * rng.uniform(0.0015, 0.0045)
    shade = 1 + (field("fur")[y].take(x, 1) - np.float32(128)) * hairy
    x, y = (ticks(size, rng.uniform(0, 200), 0.8 * FIELD / size) for _ in "xy")
    rough = (1 - animal) * rng.choice((0.001, 0.002, 0.004))
    shade += (field("ground")[y].take(x, 1) - np.float32(128)) * rough
    shade += relief(small.getchannel("K"), rng) * np.maximum(animal, 0.35)
    return expose(colour, shade, rng)


def relief(height: Image.Image, rng: random.Random) -> np.ndarray:
    """Light a soft landscape from above and from one side: [size, size] float32 around 0."""
    size = height.width
    soft = np.asarray(height.filter(ImageFilter.BoxBlur(size * 0.04)), np.float32).ravel()
    # Down and to one side, row after row.
    step = max(1, round(size * 0.035)) * (size + rng.choice((-1, 1)))
    lit = soft - np.concatenate([soft[-step:], soft[:-step]])
    return lit.reshape(size, size) * (rng.uniform(0.5, 1.0) / 255)


def expose(colour: np.ndarray, light: np.ndarray, rng: random.Random) -> np.ndarray:
    """Apply shadow, colour temperature, vignette, blur and grain: [3, size, size] to an image.

    The image is uint8 [size, size, 3]. `light` [size, size] is the light that the drawing's own
    shading lets through.
    """
    size = len(light)
    x, y, r2 = _grid(size)
    lamp = (
        1 + rng.uniform(-0.25, 0.25) * x + rng.uniform(-0.25, 0.25) * y - rng.uniform(0, 0.22) * r2
    )
    lamp *= rng.uniform(0.7, 1.2)
    if rng.random() < 0.3:
        edge = rng.uniform(-6, 6) * x + rng.uniform(-6, 6) * y + rng.uniform(-3, 3)
        lamp *= 1 - rng.uniform(0.07, 0.2) * (1 + np.tanh(edge))
    warm, green = rng.gauss(0, 0.1), rng.gauss(0, 0.04)
    colour *= lamp * light * np.array([1 + warm, 1 + green, 1 - warm], np.float32)[:, None, None]
    if rng.random() < 0.1:
        colour[:] = colour.mean(0)
    image = np.empty((size, size, 3), np.uint8)
    for channel, plane in enumerate(np.clip(colour, 0, 255, out=colour)):
        image[..., channel] = plane  # a quarter of the time of transpose and copy
    if rng.random() < 0.4:
        lens = ImageFilter.BoxBlur(size * rng.uniform(0.006, 0.016))
        image = np.asarray(Image.fromarray(image).filter(lens))
    grain, i, j = rng.uniform(0, 9), rng.randrange(size), rng.randrange(size)
    return np.clip(grain * _sensor(size)[i : i + size, j : j + size] + image, 0, 255).astype(
        np.uint8
    )
