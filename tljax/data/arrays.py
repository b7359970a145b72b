"""Arrays that are in memory already -> ImageSets, checked and digested like photographs on disk."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tljax.data import photos, splits
from tljax.data.photos import Listing
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError

# Images uint8 [N, size, size, 3], and labels, whole numbers [N].
Labelled = tuple[ArrayLike, ArrayLike]


def from_arrays(
    images: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    *,
    validation: Labelled | float = 0.2,
    test: Labelled | None = None,
    name: str = "arrays",
    seed: int = 0,
    allow_duplicates: bool = False,
) -> ImageSets:
    """Make a data set of images uint8 `[N, size, size, 3]`, RGB, and labels `[N]`.

    A label is the place of its class in `classes`. `validation` is `(images, labels)`, or the
    fraction of each class to hold out, drawn by `seed`. The digest is that of pixels, labels and
    class names: other data never find the cached features of these. InputError for another shape
    or dtype, a label without a class, an empty split, or the same image in two splits.
    """
    names = _class_names(name, classes)
    pairs: dict[str, Labelled] = {"train": (images, labels)}
    if isinstance(validation, tuple):
        pairs["validation"] = validation
    elif not isinstance(validation, float) or not 0 < validation < 1:
        expected = "(images, labels) or a fraction between 0 and 1"
        raise InputError(f"{name}: validation: expected {expected}, found {validation!r:.60}")
    if test is not None:
        pairs["test"] = test
    sets = {split: _checked(f"{name}: {split}", *pair, names) for split, pair in pairs.items()}
    _refuse_other_sizes(name, sets)
    digests = {split: _digests(part) for split, part in sets.items()}
    if isinstance(validation, float):
        whole = _listing(sets["train"], digests["train"])
        parts = splits.stratified(whole, fraction=validation, seed=seed)
        sets |= {split: _part(sets["train"], part) for split, part in parts.items()}
        digests |= {split: part.digests for split, part in parts.items()}
    for split, part in sets.items():
        if not part.ids:
            raise InputError(f"{name}: {split}: expected one image or more, found none")
    if not allow_duplicates:
        _refuse_shared(sets, digests)
    content = {split: [digests[split], part.labels.tolist()] for split, part in sets.items()}
    document = ["arrays", sets["train"].images.shape[1], names, content]
    digest = photos.sha256(json.dumps(document, sort_keys=True).encode())
    return ImageSets(name, names, sets["train"], sets["validation"], digest, test=sets.get("test"))


def _class_names(name: str, classes: Sequence[str]) -> tuple[str, ...]:
    names = () if isinstance(classes, str) else tuple(classes)
    if len(names) < 2 or len(set(names)) < len(names) or not all(isinstance(x, str) for x in names):
        found = f"{classes!r:.60}"
        raise InputError(f"{name}: classes: expected two different names or more, found {found}")
    return names


def _checked(
    where: str, images: ArrayLike, labels: ArrayLike, classes: tuple[str, ...]
) -> ImageSet:
    """Make a split; InputError naming what is wrong with its arrays."""
    images, labels = np.asarray(images), np.asarray(labels)
    square = images.ndim == 4 and images.shape[1] == images.shape[2] > 0 and images.shape[3] == 3
    if images.dtype != np.uint8 or not square:
        found = f"{images.dtype} {images.shape}"
        raise InputError(f"{where}: images: expected uint8 [N, size, size, 3], found {found}")
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        expected = f"whole numbers [{len(images)}], one for each image"
        found = f"{labels.dtype} {labels.shape}"
        raise InputError(f"{where}: labels: expected {expected}, found {found}")
    wrong = labels[(labels < 0) | (labels >= len(classes))]
    if len(wrong):
        expected = f"0 to {len(classes) - 1} for {len(classes)} classes"
        raise InputError(f"{where}: labels: expected {expected}, found {wrong[0]}")
    split = where.rpartition(" ")[2]
    ids = tuple(f"{split}/{i}" for i in range(len(images)))
    return ImageSet(images, labels.astype(np.int32), ids)


def _refuse_other_sizes(name: str, sets: dict[str, ImageSet]) -> None:
    size = sets["train"].images.shape[1]
    for split, part in sets.items():
        if (side := part.images.shape[1]) != size:
            raise InputError(f"{name}: {split}: expected images of {size} pixels, found {side}")


def _digests(split: ImageSet) -> tuple[str, ...]:
    return tuple(photos.sha256(image.tobytes()) for image in split.images)


def _listing(split: ImageSet, digests: tuple[str, ...]) -> Listing:
    return Listing(split.ids, split.labels, digests, read=lambda i: split.images[i].tobytes())


def _part(whole: ImageSet, part: Listing) -> ImageSet:
    """Copy the images of a part of a split."""
    place = {name: i for i, name in enumerate(whole.ids)}
    return ImageSet(whole.images[[place[name] for name in part.ids]], part.labels, part.ids)


def _refuse_shared(sets: dict[str, ImageSet], digests: dict[str, tuple[str, ...]]) -> None:
    """Refuse an image that is both trained on and held out, or held out twice."""
    listings = {split: _listing(part, digests[split]) for split, part in sets.items()}
    names = {"train": "training", "validation": "validation", "test": "test"}
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        if second in listings:
            parts = listings[first], listings[second]
            splits.refuse_shared(*parts, names=(names[first], names[second]))
