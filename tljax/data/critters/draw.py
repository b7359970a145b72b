"""One critter: a picture from an animal, a seed and an index."""

import random
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tljax.data.critters import bodies, camera, parts, scenes
from tljax.data.critters.kinds import KINDS, pick
from tljax.data.critters.pen import PARTS, Pen, tone
from tljax.errors import InputError

PIXELS = range(16, 257)  # sides that `draw` accepts


def check(animals: Sequence[str], size: int) -> None:
    """Refuse an unknown animal or an impossible size: InputError names it."""
    for animal in animals:
        if animal not in KINDS:
            raise InputError(f"critters: no animal {animal!r}; expected one of {', '.join(KINDS)}")
    if size not in PIXELS:
        raise InputError(f"critters: size {size!r}; expected {PIXELS[0]} to {PIXELS[-1]} pixels")


def draw(animal: str, *, seed: int, index: int, size: int = 64) -> np.ndarray:
    """Draw one photograph, uint8 [size, size, 3].

    The same seed and index at another size is the same scene.
    """
    return _drawn(animal, None, seed=seed, index=index, size=size)


def draw_parts(animal: str, *, seed: int, index: int, size: int = 64) -> np.ndarray:
    """Draw the photograph of `draw` and its parts, uint8 [size, size, 4]; the last is of `PARTS`.

    A pixel is of the part that lies on top there; what stands in front of an animal is background.
    """
    parts = Image.new("L", (2 * size, 2 * size))
    picture = _drawn(animal, parts, seed=seed, index=index, size=size)
    return np.dstack([picture, np.asarray(parts)[1::2, 1::2]])


def _drawn(
    animal: str, numbers: Image.Image | None, *, seed: int, index: int, size: int
) -> np.ndarray:
    check([animal], size)
    kind, rng = KINDS[animal], random.Random(f"{seed}/{animal}/{index}")
    coat = parts.coat(rng)
    # CMYK stands for any four channels: Pillow would multiply those of RGBA by its alpha.
    canvas, square = Image.new("CMYK", (2 * size, 2 * size)), (2 * size, 2j * size, 0j)
    scenes.background(Pen(canvas, square), rng)  # the whole photograph is one unit
    if rng.random() < 0.4:  # a shallow depth of field
        soft = canvas.reduce(rng.choice((3, 5))).resize((size, size), Image.Resampling.BILINEAR)
        canvas = soft.resize(canvas.size, Image.Resampling.NEAREST)  # the camera halves it again
    everything = Pen(canvas, square, numbers)
    radius, flip = 0.27 * rng.uniform(0.55, 1.2), rng.choice((-1, 1))
    place = rng.gauss(0.5, 0.13), rng.gauss(0.46, 0.09)
    creature = everything.at(*place, sx=radius * flip, sy=radius)
    bodies.animal(creature.of(PARTS.index("body")), rng, kind, coat, scenes.hue(rng))
    scenes.occlude(everything, rng)
    dark = tone(coat.fur, 0.5)
    pattern, ink = pick(rng, kind.patterns), rng.choice((dark, dark, coat.light))
    return camera.photograph(canvas, rng, pattern=pattern, ink=ink, frame=creature.frame, size=size)
