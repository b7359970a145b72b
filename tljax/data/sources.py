"""A source string -> ImageSets: uint8 images, labels and ids, with one class list for all splits."""

import dataclasses
import hashlib
import json
import pathlib

import numpy as np

from tljax.data import cache as decoded_cache
from tljax.data import folder, photos, splits
from tljax.data.photos import Listing
from tljax.errors import InputError


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """One split."""

    images: np.ndarray  # uint8 [N, H, W, 3], RGB; a memory map
    labels: np.ndarray  # int32 [N]
    ids: tuple[str, ...]  # stable name of each example, such as "train/cat/cat.17.jpg"


@dataclasses.dataclass(frozen=True)
class ImageSets:
    """Training and validation, with the class list they share."""

    name: str  # the source string
    classes: tuple[str, ...]
    train: ImageSet
    validation: ImageSet
    digest: str  # hex sha256 of the files' digests, the labels, the classes, the size and the filter
    skipped: tuple[str, ...] = ()  # ids of corrupt files left out on request


def load(
    source: str,
    *,
    size: int,
    cache: pathlib.Path | None = None,
    data_dir: pathlib.Path | None = None,
    seed: int = 0,
    validation_fraction: float = 0.2,
    skip_corrupt: bool = False,
    allow_duplicates: bool = False,
    progress: bool = True,
) -> ImageSets:
    """Reads `folder:PATH`, `tfds:NAME`, `critters` or `critters:source` at `size` x `size` pixels.

    `cache` is the folder of decoded arrays, `data_dir` that of TFDS. `seed` and `validation_fraction` decide
    the split of a source that has no validation split. InputError for anything that cannot be read.
    """
    if size < 1:
        raise InputError(f"size: expected at least 1 pixel, found {size}")
    if not 0 < validation_fraction < 1:
        raise InputError(f"validation_fraction: expected between 0 and 1, found {validation_fraction}")
    kind, _, name = source.partition(":")
    store = pathlib.Path(cache) if cache else decoded_cache.default_folder()
    if kind == "folder" and name:
        root = pathlib.Path(name).expanduser()
        classes, listings = folder.listings(root, progress=progress)
    else:
        raise InputError(
            f"source: expected folder:PATH, tfds:NAME, critters or critters:source, found {source!r}"
        )
    if len(classes) < 2:
        raise InputError(f"{source}: expected two or more classes, found {list(classes)}")
    if "validation" in listings:
        if not allow_duplicates:
            splits.refuse_shared(listings["train"], listings["validation"])
    else:
        train, validation = splits.stratified(listings["train"], fraction=validation_fraction, seed=seed)
        listings = {"train": train, "validation": validation}
    return _decoded(
        source, classes, listings, size=size, store=store, skip_corrupt=skip_corrupt, progress=progress
    )


def _decoded(
    source: str,
    classes: tuple[str, ...],
    listings: dict[str, Listing],
    *,
    size: int,
    store: pathlib.Path,
    skip_corrupt: bool,
    progress: bool,
) -> ImageSets:
    """Decodes both splits, or reads them from the cache, and answers for the corrupt photographs."""
    sets, kept, corrupt = {}, {}, {}
    for split in ("train", "validation"):
        listing = listings[split]
        images, bad = decoded_cache.decoded(listing, size=size, folder=store, progress=progress, name=split)
        kept[split] = listing.take([i for i in range(len(listing.ids)) if i not in bad])
        sets[split] = ImageSet(images, kept[split].labels, kept[split].ids)
        corrupt |= {listing.ids[i]: reason for i, reason in bad.items()}
    if corrupt and not skip_corrupt:
        reasons = list(corrupt.values())
        more = f", ... ({len(reasons)} in all)" if len(reasons) > 3 else ""
        raise InputError(f"{source}: {', '.join(reasons[:3])}{more}; mend or remove, or pass skip_corrupt")
    for split, images in sets.items():
        if not images.ids:
            raise InputError(f"{source}: no photograph for {split}")
    digest = _digest(classes, kept, size=size)
    return ImageSets(source, classes, sets["train"], sets["validation"], digest, tuple(corrupt))


def _digest(classes: tuple[str, ...], kept: dict[str, Listing], *, size: int) -> str:
    """Identity of what will be trained on: file names and the order of decoding threads do not enter."""
    content = {split: [listing.digests, listing.labels.tolist()] for split, listing in kept.items()}
    return hashlib.sha256(json.dumps([size, photos.FILTER, classes, content]).encode()).hexdigest()
