"""Sources -> ImageSets: uint8 images, labels and ids, with one class list for all splits."""

import dataclasses
import json
import math
import pathlib

from tljax.data import cache as decoded_cache
from tljax.data import drawn, folder, mask_folder, names, photos, splits, table
from tljax.data.folder import Found
from tljax.data.label_columns import TOLD, Labels
from tljax.data.sets import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.files.home import at_home, default_folder
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.segmentation import SEGMENTATION


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """The faults of a data set that are accepted; by default each is an InputError."""

    skip_corrupt: bool = False  # leave out photographs that cannot be decoded
    allow_duplicates: bool = False  # accept a photograph that is in two splits or classes
    follow_links: bool = False  # read photographs through links that leave their folder


@dataclasses.dataclass(frozen=True)
class Places:
    """The folders for decoded arrays and of prepared TFDS sets; None for the usual ones."""

    cache: pathlib.Path | None = None
    tfds: pathlib.Path | None = None

    @property
    def store(self) -> pathlib.Path:
        """Return the folder for decoded arrays."""
        return at_home(self.cache) if self.cache else default_folder()


STRICT, USUAL = Tolerance(), Places()


def load(
    source: str | pathlib.Path,
    *,
    size: int,
    labels: Labels = TOLD,
    seed: int = 0,
    validation_fraction: float = 0.2,
    tolerance: Tolerance = STRICT,
    places: Places = USUAL,
    progress: bool = True,
) -> ImageSets:
    """Load `folder:PATH`, `csv:FILE`, `tfds:NAME`, or one of `drawn.SOURCES`, such as `critters`.

    Images become `size` x `size` pixels; of a folder with `images` and `masks` the shorter side
    becomes `size`. The path of a folder or of a CSV file that is there stands for itself. `labels`
    says what a CSV file or masks do not tell of theirs. `seed` and `validation_fraction` split a
    source that has no validation split; `seed` also draws the critters. It belongs to the data, so
    that runs with other seeds see the same data. InputError for anything that cannot be read, and
    for faults beyond `tolerance`.
    """
    most = math.isqrt(photos.MAX_PIXELS)
    if not 1 <= size <= most:
        raise InputError(f"size: expected 1 to {most} pixels, found {size}")
    store, source = places.store, _named(str(source))
    masked, where = has_masks(source), at_home(source.partition(":")[2])
    _fitting(labels, source, masked=masked)
    if source in drawn.SOURCES:
        return drawn.critters(source, size=size, store=store, seed=seed, progress=progress)
    if masked:
        held = (validation_fraction, seed)
        return mask_folder.load(
            source, where, size=size, told=labels, store=store, held=held, progress=progress
        )
    if source.startswith("csv:") and source != "csv:":
        follow = tolerance.follow_links
        found = table.listings(where, progress=progress, follow_links=follow, labels=labels)
    else:
        found = _found(source, places=places, tolerance=tolerance, progress=progress)
    names.check(source, found.classes, least=found.task.least)
    listings = splits.complete(
        source,
        found.listings,
        found.classes,
        fraction=validation_fraction,
        seed=seed,
        copies=tolerance.allow_duplicates,
    )
    found = found._replace(listings=listings)
    skip_corrupt = tolerance.skip_corrupt
    return _decoded(source, found, size, store, skip_corrupt=skip_corrupt, progress=progress)


def has_masks(source: str) -> bool:
    """Tell whether a source has masks: a folder with `images` and `masks`, or those of critters."""
    if source in drawn.SOURCES:
        return drawn.TARGETS.get(source) is SEGMENTATION
    kind, _, where = _named(source).partition(":")
    return kind == "folder" and mask_folder.has_masks(at_home(where))


def _fitting(labels: Labels, source: str, *, masked: bool) -> None:
    """Check that what is said of labels can be said of a source; InputError if not."""
    table = source.startswith("csv:")
    told = SEGMENTATION.name if masked else drawn.TARGETS.get(source, CLASSIFICATION).name
    if labels.task not in (None, told) and not table:
        raise InputError(f"task: expected {told} of {source}, found {labels.task}")
    if (labels.file or labels.columns or labels.separator) and not table:
        raise InputError(f"columns: expected csv:FILE with them, found {source}")
    if (labels.classes or labels.void) and not masked:
        raise InputError(f"classes and void: expected a folder of masks, found {source}")


def _named(source: str) -> str:
    """Return the source with its kind before it, which the path of a folder or a table may lack."""
    if source in drawn.SOURCES or source.partition(":")[0] in ("folder", "csv", "tfds"):
        return source
    path = at_home(source)
    kind = "folder" if source and path.is_dir() else "csv" if path.is_file() else ""
    if kind == "csv" and path.suffix.lower() not in table.EXTENSIONS:
        raise InputError(f"source: expected a folder or a CSV file of labels, found {source!r}")
    return f"{kind}:{source}" if kind else source


def _found(source: str, *, places: Places, tolerance: Tolerance, progress: bool) -> Found:
    """List the photographs of a source; InputError for another kind of source."""
    kind, _, where = source.partition(":")
    follow_links = tolerance.follow_links
    if kind == "folder" and where:
        return folder.listings(at_home(where), progress=progress, follow_links=follow_links)
    if kind == "tfds" and where:
        from tljax.data import tfds_source

        return Found(*tfds_source.listings(where, data_dir=places.tfds, progress=progress))
    expected = "folder:PATH, csv:FILE, tfds:NAME, critters or critters:source"
    there = ", where nothing is" if "/" in source and not where else ""
    raise InputError(f"source: expected {expected}, found {source!r}{there}")


def _decoded(
    source: str,
    found: Found,
    size: int,
    store: pathlib.Path,
    *,
    skip_corrupt: bool,
    progress: bool,
) -> ImageSets:
    """Decode the splits, or read them from the cache.

    InputError for corrupt photographs unless they may be skipped, and for a split without
    photographs.
    """
    sets, good, corrupt = {}, {}, {}
    for split, listing in found.listings.items():
        images, bad = decoded_cache.decoded(
            listing, size=size, folder=store, progress=progress, name=split
        )
        good[split] = listing.take([i for i in range(len(listing.ids)) if i not in bad])
        sets[split] = ImageSet(images, good[split].labels, good[split].ids, found.task)
        corrupt |= {listing.ids[i]: reason for i, reason in bad.items()}
    if corrupt and not skip_corrupt:
        more = f", ... ({len(corrupt)} in all)" if len(corrupt) > 3 else ""
        reasons = "; ".join(list(corrupt.values())[:3])
        anyway = "mend or remove, or pass --skip-corrupt (skip_corrupt=True)"
        raise InputError(f"{source}: {reasons}{more}; {anyway}")
    for split in sets:
        if not sets[split].ids:
            raise InputError(f"{source}: expected photographs for {split}, found none")
    classes = found.classes
    content = {split: [listing.digests, listing.labels.tolist()] for split, listing in good.items()}
    digest = photos.sha256(
        json.dumps([size, photos.FILTER, classes, content], sort_keys=True).encode()
    )
    return ImageSets(
        source,
        classes,
        sets["train"],
        sets["validation"],
        digest,
        skipped=tuple(corrupt),
        test=sets.get("test"),
        left_out=found.left_out,
    )
