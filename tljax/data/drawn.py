"""Sources that are drawn: `critters`, and `critters:source` to pretrain a base on."""

import hashlib
import pathlib

import numpy as np

from tljax.data import cache as decoded_cache
from tljax.data import photos
from tljax.data.sets import ImageSet, ImageSets

SOURCES = ("critters", "critters:source")


def critters(
    source: str, *, size: int, store: pathlib.Path, seed: int, progress: bool
) -> ImageSets:
    """Draw the critters, with the digest of their pixels.

    The digest therefore survives changes of code that draws the same pixels.
    """
    from tljax.data import critters as animals

    target = source == "critters"
    classes = animals.TARGET_CLASSES if target else animals.SOURCE_CLASSES
    counts = animals.TARGET_SIZES if target else animals.SOURCE_SIZES
    train, validation = (
        _drawn(classes, counts[split], split, size=size, store=store, seed=seed, progress=progress)
        for split in ("train", "validation")
    )
    digest = hashlib.sha256()
    for split in (train, validation):
        digest.update(split.images.data)
        digest.update(split.labels.data)
    return ImageSets(source, classes, train, validation, digest.hexdigest())


def _drawn(
    classes: tuple[str, ...],
    per_class: int,
    split: str,
    *,
    size: int,
    store: pathlib.Path,
    seed: int,
    progress: bool,
) -> ImageSet:
    """Draw a split once for each version of the code that draws, then read it from the cache."""
    import PIL

    from tljax.data import critters

    code = sorted(pathlib.Path(critters.__file__).parent.glob("*.py"))
    made_from = [
        [photos.sha256(path.read_bytes()) for path in code],
        PIL.__version__,
        np.__version__,
    ]
    options = {"per_class": per_class, "seed": seed, "size": size, "split": split}

    def draw() -> np.ndarray:
        return critters.make(
            classes, per_class=per_class, seed=seed, size=size, split=split, progress=progress
        )[0]

    images, _ = decoded_cache.stored(
        ["critters", *made_from, classes, options],
        draw,
        count=per_class * len(classes),
        size=size,
        folder=store,
    )
    # Class by class, as `make`.
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), per_class)
    return ImageSet(
        images,
        labels,
        tuple(f"{split}/{name}/{i:04d}" for name in classes for i in range(per_class)),
    )
