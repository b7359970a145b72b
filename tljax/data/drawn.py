"""Sources that are drawn: `critters`, their masks, and `critters:source` to pretrain a base on."""

import hashlib
import pathlib

import numpy as np

from tljax.data import cache as decoded_cache
from tljax.data import photos
from tljax.data.sets import ImageSet, ImageSets
from tljax.tasks.segmentation import SEGMENTATION

MASKED = ("critters:masks", "critters:parts")
SOURCES = ("critters", "critters:source", *MASKED)


def critters(
    source: str, *, size: int, store: pathlib.Path, seed: int, progress: bool
) -> ImageSets:
    """Draw the critters, with the digest of their pixels.

    The digest therefore survives changes of code that draws the same pixels. `critters:masks` are
    the pictures of `critters` with the animal's pixels told from the background, `critters:parts`
    with its parts told from one another.
    """
    from tljax.data import critters as animals

    target = source != "critters:source"
    classes = animals.TARGET_CLASSES if target else animals.SOURCE_CLASSES
    counts = animals.TARGET_SIZES if target else animals.SOURCE_SIZES
    masks = source.partition(":")[2] if source in MASKED else ""
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
    if masks:
        classes = animals.PARTS if masks == "parts" else (animals.PARTS[0], *classes)
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
