"""One critter: a picture from an animal, a seed and an index."""

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from tljax.data.critters import bodies, camera, parts, scenes
from tljax.data.critters.kinds import KINDS, pick
from tljax.data.critters.pen import PARTS, Colour, Frame, Pen, tone
from tljax.errors import InputError

PIXELS = range(16, 257)  # sides that `draw` accepts


class Traits(NamedTuple):
    """Hold what a photograph shows, exactly: by name, and a number."""

    ears: str  # a shape of `ears.py`
    pose: str  # of `bodies.POSES`
    pattern: str  # of its coat
    width: float  # of a head of the usual build, in percent of the photograph's side


class Scene(NamedTuple):
    """A drawing before the camera: canvas, the rest of the draws, ink of the pattern, its place."""

    canvas: Image.Image
    rng: random.Random
    ink: Colour
    frame: Frame
    traits: Traits


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
    return _photographed(_scene(animal, seed=seed, index=index, size=size), size=size)


def draw_parts(animal: str, *, seed: int, index: int, size: int = 64) -> np.ndarray:
    """Draw the photograph of `draw` and its parts, uint8 [size, size, 4]; the last is of `PARTS`.

    A pixel is of the part that lies on top there; what stands in front of an animal is background.
    """
    numbers = Image.new("L", (2 * size, 2 * size))
    scene = _scene(animal, seed=seed, index=index, size=size, numbers=numbers)
    return np.dstack([_photographed(scene, size=size), np.asarray(numbers)[1::2, 1::2]])


def traits(animal: str, *, seed: int, index: int) -> Traits:
    """Tell what the photograph of `draw` shows, from what the drawing itself draws by."""
    return _scene(animal, seed=seed, index=index, size=PIXELS[0]).traits


def _photographed(scene: Scene, *, size: int) -> np.ndarray:
    canvas, rng, ink, frame, shown = scene
    return camera.photograph(canvas, rng, pattern=shown.pattern, ink=ink, frame=frame, size=size)


def _scene(
    animal: str, *, seed: int, index: int, size: int, numbers: Image.Image | None = None
) -> Scene:
    """Draw all but what the camera does; `numbers` takes those of the parts."""
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
    body = creature.of(PARTS.index("body"))
    pose, ears = bodies.animal(body, rng, kind, coat, scenes.hue(rng))
    scenes.occlude(everything, rng)
    dark = tone(coat.fur, 0.5)
    pattern, ink = pick(rng, kind.patterns), rng.choice((dark, dark, coat.light))
    shown = Traits(ears.__name__, pose, pattern, 200 * radius)
    return Scene(canvas, rng, ink, creature.frame, shown)
