"""Critters: simulated photographs of animals, the data set that tljax carries within.

Cats and dogs are the target task, twelve other animals the source task. All are built from one kit of ears,
muzzles and eyes, wear coats from one wardrobe and sit in the same places, so that only their shape tells them
apart. `draw` is a pure function: the same picture for the same arguments (and the same Pillow), whatever was
drawn before.
"""

import argparse
import random
from collections.abc import Sequence

import numpy as np
from PIL import Image
from tqdm import tqdm

from tljax.data import critter_bodies as bodies
from tljax.data import critter_camera as camera
from tljax.data import critter_parts as parts
from tljax.data import critter_scenes as scenes
from tljax.data import critter_team as team
from tljax.data.critter_kinds import KINDS, pick
from tljax.data.critter_pen import Pen, tone
from tljax.errors import InputError

TARGET_SIZES = {"train": 48, "validation": 250}  # images a class
SOURCE_SIZES = {"train": 480, "validation": 25}
PIXELS = range(16, 257)  # sides that `draw` accepts
FIRST_INDEX = {"train": 0, "validation": 10_000_000, "test": 20_000_000}  # splits never share an index

TARGET_CLASSES = ("cat", "dog")
SOURCE_CLASSES = tuple(sorted(set(KINDS) - set(TARGET_CLASSES)))


def _check(animals: Sequence[str], size: int) -> None:
    for animal in animals:
        if animal not in KINDS:
            raise InputError(f"critters: no animal {animal!r}; expected one of {', '.join(KINDS)}")
    if size not in PIXELS:
        raise InputError(f"critters: size {size!r}; expected {PIXELS[0]} to {PIXELS[-1]} pixels")


def draw(animal: str, *, seed: int, index: int, size: int = 64) -> np.ndarray:
    """One photograph, uint8 [size, size, 3]. The same seed and index at another size is the same scene."""
    _check([animal], size)
    kind, rng = KINDS[animal], random.Random(f"{seed}/{animal}/{index}")
    coat = parts.coat(rng)
    # CMYK stands for any four channels: Pillow would multiply those of RGBA by its alpha.
    canvas, square = Image.new("CMYK", (2 * size, 2 * size)), (2 * size, 2j * size, 0j)
    scenes.background(Pen(canvas, square), rng)  # the whole photograph is one unit
    if rng.random() < 0.4:  # a shallow depth of field
        soft = canvas.reduce(rng.choice((3, 5))).resize((size, size), Image.Resampling.BILINEAR)
        canvas = soft.resize(canvas.size, Image.Resampling.NEAREST)  # the camera halves it again
    everything = Pen(canvas, square)
    radius, flip = 0.27 * rng.uniform(0.55, 1.2), rng.choice((-1, 1))
    place = rng.gauss(0.5, 0.13), rng.gauss(0.46, 0.09)
    creature = everything.at(*place, sx=radius * flip, sy=radius)
    bodies.animal(creature, rng, kind, coat, scenes.hue(rng))
    scenes.occlude(everything, rng)
    dark = tone(coat.fur, 0.5)
    pattern, ink = pick(rng, kind.patterns), rng.choice((dark, dark, coat.light))
    return camera.photograph(canvas, rng, pattern=pattern, ink=ink, frame=creature.frame, size=size)


def make(
    animals: Sequence[str],
    *,
    per_class: int,
    seed: int,
    size: int,
    split: str,
    progress: bool = True,
    workers: int | None = None,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images uint8 [N, size, size, 3], labels int32 [N] into `animals`, ids like "train/cat/0007", by class.

    Number i of a split is `draw(..., index=FIRST_INDEX[split] + i)`: a longer split starts as a shorter one.
    `workers` processes draw, for many images one a core unless given; the pictures do not depend on it.
    """
    _check(animals, size)
    if split not in FIRST_INDEX:
        raise InputError(f"critters: no split {split!r}; expected one of {', '.join(FIRST_INDEX)}")
    if not 0 < per_class <= FIRST_INDEX["validation"]:
        raise InputError(f"critters: per_class {per_class}; expected 1 to {FIRST_INDEX['validation']}")
    if workers is not None and workers < 1:
        raise InputError(f"critters: workers {workers}; expected at least 1")
    jobs = [(animal, FIRST_INDEX[split] + i) for animal in animals for i in range(per_class)]
    images = np.empty((len(jobs), size, size, 3), np.uint8)
    workers = workers or team.size_for(len(jobs))
    with tqdm(total=len(jobs), desc=f"drawing {split}", unit="image", disable=not progress) as bar:
        if workers > 1:
            for done in team.draw_all(jobs, images, seed=seed, size=size, workers=workers):
                bar.update(done)
        else:
            for n, (animal, index) in enumerate(jobs):
                images[n] = draw(animal, seed=seed, index=index, size=size)
                bar.update()
    labels = np.repeat(np.arange(len(animals), dtype=np.int32), per_class)
    return images, labels, tuple(f"{split}/{animal}/{i:04d}" for animal in animals for i in range(per_class))


def contact_sheet(animals: Sequence[str], *, each: int = 8, seed: int = 0, size: int = 96) -> Image.Image:
    """A row of `each` photographs for every animal."""
    rows = [np.concatenate([draw(a, seed=seed, index=i, size=size) for i in range(each)], 1) for a in animals]
    return Image.fromarray(np.concatenate(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw a contact sheet of critters.")
    parser.add_argument("--out", default="critters.png")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--animals", nargs="+", default=list(KINDS))
    options = parser.parse_args()
    try:
        sheet = contact_sheet(options.animals, each=options.each, seed=options.seed, size=options.size)
    except InputError as problem:
        parser.error(str(problem))
    sheet.save(options.out)


if __name__ == "__main__":
    main()
