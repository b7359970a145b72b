"""Sources that are drawn: `critters`, `critters:source` to pretrain a base on, and other labels.

`critters:traits` has the photographs of `critters` with several labels each, ears, pose and the
pattern of the coat; `critters:width` has them with a number, the width of the head;
`critters:masks` with masks of the animals, and `critters:parts` with those of their parts.
"""

import hashlib
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from tljax.data import cache as decoded_cache
from tljax.data import photos
from tljax.data.sets import ImageSet, ImageSets
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.multilabel import MULTILABEL
from tljax.tasks.regression import REGRESSION
from tljax.tasks.segmentation import SEGMENTATION

if TYPE_CHECKING:
    from tljax.data.critters import Traits

TARGETS = {  # the cats and dogs, by what is to be learnt of them
    "critters": CLASSIFICATION,
    "critters:traits": MULTILABEL,
    "critters:width": REGRESSION,
    "critters:masks": SEGMENTATION,
    "critters:parts": SEGMENTATION,
}
SOURCES = (*TARGETS, "critters:source")
WIDTH = "head width, % of the side"


def critters(
    source: str, *, size: int, store: pathlib.Path, seed: int, progress: bool
) -> ImageSets:
    """Draw the critters, with the digest of their pixels.

    The digest therefore survives changes of code that draws the same pixels.
    """
    from tljax.data import critters as animals

    target = source in TARGETS
    classes = animals.TARGET_CLASSES if target else animals.SOURCE_CLASSES
    counts = animals.TARGET_SIZES if target else animals.SOURCE_SIZES
    masks = source.partition(":")[2] if TARGETS.get(source) is SEGMENTATION else ""
    train, validation = (
        _drawn(
            classes,
            counts[split],
            split,
            size=size,
            store=store,
            seed=seed,
            progress=progress,
            masks=masks,
        )
        for split in ("train", "validation")
    )
    if source == "critters:traits":
        classes, (train, validation) = _with_traits(train, validation, seed=seed)
    elif source == "critters:width":
        train, validation = (_with_width(split, seed=seed) for split in (train, validation))
        classes = (WIDTH,)
    elif masks:
        classes = animals.PARTS if masks == "parts" else (animals.PARTS[0], *classes)
    digest = hashlib.sha256()
    for split in (train, validation):
        digest.update(split.images.data)
        digest.update(split.labels.data)
    return ImageSets(source, classes, train, validation, digest.hexdigest())


def _with_traits(*splits: ImageSet, seed: int) -> tuple[tuple[str, ...], list[ImageSet]]:
    """Label photographs with all that they show: classes, and the splits with labels `[N, K]`."""
    shown = [
        [(f"{each.ears} ears", each.pose, f"{each.pattern} coat") for each in _traits(split, seed)]
        for split in splits
    ]
    classes = tuple(sorted({name for names in shown[0] for name in names}))
    labels = [
        np.array([[name in names for name in classes] for names in split], np.uint8)
        for split in shown
    ]
    return classes, [
        ImageSet(split.images, each, split.ids, MULTILABEL)
        for split, each in zip(splits, labels, strict=True)
    ]


def _with_width(split: ImageSet, *, seed: int) -> ImageSet:
    """Label photographs with the width of the head: labels `[N, 1]`."""
    widths = np.array([[each.width] for each in _traits(split, seed)], np.float32)
    return ImageSet(split.images, widths, split.ids, REGRESSION)


def _traits(split: ImageSet, seed: int) -> "list[Traits]":
    """Tell what each photograph shows; its id is split, animal and number."""
    from tljax.data import critters

    parts = [name.split("/") for name in split.ids]
    return [
        critters.traits(animal, seed=seed, index=critters.FIRST_INDEX[which] + int(number))
        for which, animal, number in parts
    ]


def _drawn(
    classes: tuple[str, ...],
    per_class: int,
    split: str,
    *,
    size: int,
    store: pathlib.Path,
    seed: int,
    progress: bool,
    masks: str,
) -> ImageSet:
    """Draw a split once for each version of the code that draws, then read it from the cache.

    `masks` are "parts", "masks" of whole animals, or "" for labels.
    """
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
            classes,
            per_class=per_class,
            seed=seed,
            size=size,
            split=split,
            progress=progress,
            parts=bool(masks),
        )[0]

    channels = 4 if masks else 3
    drawn, _ = decoded_cache.stored(
        ["critters", *made_from, classes, options, *(["parts"] if masks else [])],
        draw,
        shape=(per_class * len(classes), size, size, channels),
        folder=store,
    )
    # Class by class, as `make`.
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), per_class)
    ids = tuple(f"{split}/{name}/{i:04d}" for name in classes for i in range(per_class))
    if not masks:
        return ImageSet(drawn, labels, ids)
    parts, images = drawn[..., 3].copy(), np.ascontiguousarray(drawn[..., :3])
    if masks == "masks":
        parts = np.where(parts > 0, 1 + labels[:, None, None], 0).astype(np.uint8)
    return ImageSet(images, parts, ids, SEGMENTATION)
