"""Arrays that are in memory already -> ImageSets, checked and digested like photographs on disk."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tljax.data import names, photos, splits
from tljax.data.photos import Listing
from tljax.data.sets import ImageSet, ImageSets, check_images
from tljax.errors import InputError
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.task import Task

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
    task: Task = CLASSIFICATION,
) -> ImageSets:
    """Make a data set of images uint8 `[N, size, size, 3]`, RGB, and labels.

    A label is the place of its class in `classes`; another `task` has other labels. `validation` is
    `(images, labels)`, or the fraction of each class to hold out, drawn by `seed`. The digest is
    that of pixels, labels and class names: other data never find the cached features of these.
    InputError for another shape or dtype, a label without a class, a class without a training
    image, an empty split, or the same image in two splits or classes.
    """
    called = tuple(classes)
    if isinstance(classes, str) or not all(isinstance(each, str) for each in called):
        raise InputError(f"{name}: classes: expected names, found {classes!r:.60}")
    names.check(f"{name}: classes", called, least=task.least)
    pairs: dict[str, Labelled] = {"train": (images, labels)}
    if isinstance(validation, tuple):
        pairs["validation"] = validation
    elif not isinstance(validation, float) or not 0 < validation < 1:
        expected = "(images, labels) or a fraction between 0 and 1"
        raise InputError(f"{name}: validation: expected {expected}, found {validation!r:.60}")
    if test is not None:
        pairs["test"] = test
    sets = {split: _checked(f"{name}: {split}", *pair, task) for split, pair in pairs.items()}
    for split, part in sets.items():
        part.task.check(f"{name}: {split}", part.labels, classes=len(called))
    digests = {split: _digests(part) for split, part in sets.items()}
    if isinstance(validation, float):
        whole = _listing(sets["train"], digests["train"])
        parts = splits.stratified(whole, fraction=validation, seed=seed)
        sets |= {split: _part(sets["train"], part) for split, part in parts.items()}
        digests |= {split: part.digests for split, part in parts.items()}
    listings = {split: _listing(part, digests[split]) for split, part in sets.items()}
    if not allow_duplicates:
        splits.refuse_copies(name, listings, called)
    content = {split: [digests[split], part.labels.tolist()] for split, part in sets.items()}
    document = ["arrays", sets["train"].images.shape[1], called, content]
    digest = photos.sha256(json.dumps(document, sort_keys=True).encode())
    train, held = sets["train"], sets["validation"]
    return ImageSets(name, called, train, held, digest, test=sets.get("test"))


def _checked(where: str, images: ArrayLike, labels: ArrayLike, task: Task) -> ImageSet:
    """Make a split; InputError naming what is wrong with its arrays."""
    pixels = np.asarray(images)
    check_images(where, pixels)
    places = task.checked(where, np.asarray(labels), count=len(pixels))
    split = where.rpartition(" ")[2]
    return ImageSet(pixels, places, tuple(f"{split}/{i}" for i in range(len(pixels))), task)


def _digests(split: ImageSet) -> tuple[str, ...]:
    return tuple(photos.sha256(image.tobytes()) for image in split.images)


def _listing(split: ImageSet, digests: tuple[str, ...]) -> Listing:
    return Listing(split.ids, split.labels, digests, read=lambda i: split.images[i].tobytes())


def _part(whole: ImageSet, part: Listing) -> ImageSet:
    """Copy the images of a part of a split."""
    place = {name: i for i, name in enumerate(whole.ids)}
    images = whole.images[[place[name] for name in part.ids]]
    return ImageSet(images, part.labels, part.ids, whole.task)
