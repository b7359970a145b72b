"""Many critters: the images and labels of a split, drawn by several processes where that pays."""

from collections.abc import Sequence

import numpy as np

from tljax import waiting
from tljax.data.critters import team
from tljax.data.critters.draw import check, draw, draw_parts
from tljax.data.critters.kinds import KINDS
from tljax.errors import InputError

TARGET_SIZES = {"train": 48, "validation": 250}  # images per class
SOURCE_SIZES = {"train": 480, "validation": 25}
FIRST_INDEX = {
    "train": 0,
    "validation": 10_000_000,
    "test": 20_000_000,
}  # splits never share an index

TARGET_CLASSES = ("cat", "dog")
SOURCE_CLASSES = tuple(sorted(set(KINDS) - set(TARGET_CLASSES)))


def make(
    animals: Sequence[str],
    *,
    per_class: int,
    seed: int,
    size: int,
    split: str,
    progress: bool = True,
    workers: int | None = None,
    parts: bool = False,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Draw images of each animal in turn: `(images, labels, ids)`.

    Images are uint8 [N, size, size, 3], labels int32 [N] into `animals`, ids like "train/cat/0007".
    Number i of a split is `draw(..., index=FIRST_INDEX[split] + i)`: a longer split starts like a
    shorter one. `workers` is the number of processes, by default one per core for many images; the
    images do not depend on it. With `parts` images have a fourth channel, as `draw_parts` has.
    """
    check(animals, size)
    if split not in FIRST_INDEX:
        raise InputError(f"critters: no split {split!r}; expected one of {', '.join(FIRST_INDEX)}")
    if not 0 < per_class <= FIRST_INDEX["validation"]:
        raise InputError(
            f"critters: per_class {per_class}; expected 1 to {FIRST_INDEX['validation']}"
        )
    if workers is not None and workers < 1:
        raise InputError(f"critters: workers {workers}; expected at least 1")
    jobs = [(animal, FIRST_INDEX[split] + i) for animal in animals for i in range(per_class)]
    images = np.empty((len(jobs), size, size, 4 if parts else 3), np.uint8)
    painted = draw_parts if parts else draw
    workers = workers or team.size_for(len(jobs))
    with waiting.bar(len(jobs), f"draw {split}", unit="images", shown=progress) as bar:
        if workers > 1:
            for count in team.draw_all(jobs, images, seed=seed, size=size, workers=workers):
                bar.update(count)
        else:
            for n, (animal, index) in enumerate(jobs):
                images[n] = painted(animal, seed=seed, index=index, size=size)
                bar.update()
    labels = np.repeat(np.arange(len(animals), dtype=np.int32), per_class)
    return (
        images,
        labels,
        tuple(f"{split}/{animal}/{i:04d}" for animal in animals for i in range(per_class)),
    )
