"""Folders of photographs and masks -> ImageSets: PATH/train/images, PATH/train/masks and so on."""

import dataclasses
import json
import math
import pathlib

import numpy as np

from tljax.data import cache as decoded_cache
from tljax.data import folder, masks, names, photos, splits
from tljax.data.label_columns import Labels
from tljax.data.photos import Listing
from tljax.data.sets import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.tasks.pixels import VOID
from tljax.tasks.segmentation import Segmentation

IMAGES, MASKS = "images", "masks"  # the folders of a split
LIST = "classes.txt"  # a name a line, in the order of the numbers


@dataclasses.dataclass(frozen=True)
class _Pairs:
    """The photographs of a split in order, and their masks as they are in the files."""

    listing: Listing
    masks: tuple[np.ndarray, ...]
    files: tuple[str, ...]  # of the masks, for messages
    sides: tuple[tuple[int, int], ...]


def has_masks(root: pathlib.Path) -> bool:
    """Tell whether a folder, or its training part, has folders of photographs and of masks."""
    parts = [folder.split_folders(root)["train"]] if root.is_dir() else []
    return any({IMAGES, MASKS} <= set(folder.subfolders(part)) for part in parts)


def load(
    source: str,
    root: pathlib.Path,
    *,
    size: int,
    told: Labels,
    store: pathlib.Path,
    held: tuple[float, int] = (0.2, 0),
    progress: bool = True,
) -> ImageSets:
    """Load photographs with their masks, paired by name; `store` is the folder of decoded ones.

    `size` is the shorter side in pixels where all photographs have one shape, so that none is
    distorted; otherwise they become squares. `held` are the fraction and the seed that split a
    folder without validation. InputError names a photograph without a mask, the reverse, a mask of
    another size or with a number above the list, and a photograph that is in two splits.
    """
    found = {
        split: _pairs(root, part, told, progress=progress)
        for split, part in folder.split_folders(root).items()
    }
    listings = {split: pairs.listing for split, pairs in found.items()}
    fraction, seed = held
    listings = splits.complete(source, listings, ("photograph",), fraction=fraction, seed=seed)
    if "validation" not in found:
        whole = found["train"]
        found |= {split: _taken(whole, listings[split]) for split in ("train", "validation")}
    numbers, classes = _numbers(root, found, told)
    if len(classes) < 2:
        only = f"{classes[0]} alone" if classes else "none"
        hint = f"number them 0, 1, ...: {VOID} is for pixels of no class"
        raise InputError(f"{source}: masks: expected two or more classes, found {only}; {hint}")
    shape = _shape([sides for pairs in found.values() for sides in pairs.sides], size)
    task, place = Segmentation(numbers), np.full(VOID + 1, VOID, np.uint8)
    place[list(numbers)] = np.arange(len(numbers))
    sets: dict[str, ImageSet] = {}
    for split, pairs in found.items():
        images, corrupt = decoded_cache.decoded(
            pairs.listing,
            size=shape,
            folder=store,
            progress=progress,
            name=split,
        )
        if corrupt:
            raise InputError(f"{source}: {next(iter(corrupt.values()))}; mend or remove")
        labels = np.stack([place[masks.resized(mask, shape)] for mask in pairs.masks])
        sets[split] = ImageSet(images, labels, pairs.listing.ids, task)
    content = {
        split: [pairs.listing.digests, photos.sha256(sets[split].labels.tobytes())]
        for split, pairs in found.items()
    }
    document = [shape, photos.FILTER, classes, numbers, content]
    digest = photos.sha256(json.dumps(document, sort_keys=True).encode())
    return ImageSets(
        source, classes, sets["train"], sets["validation"], digest, test=sets.get("test")
    )


def _pairs(root: pathlib.Path, part: pathlib.Path, told: Labels, *, progress: bool) -> _Pairs:
    """Pair the photographs and the masks of a split by their names without extensions."""
    images, drawn = (_by_stem(part / name, root, masks=name == MASKS) for name in (IMAGES, MASKS))
    if not images:
        raise InputError(f"{part / IMAGES}: expected photographs, found none")
    for stem, image in images.items():
        if stem not in drawn:
            mask = part / MASKS / f"{stem}.png"
            raise InputError(f"{root / image}: expected its mask {mask}, found none")
    for stem, mask in drawn.items():
        if stem not in images:
            where = part / IMAGES
            raise InputError(f"{root / mask}: expected its photograph in {where}, found none")
    listing = folder.listing(root, [(image, 0) for image in images.values()], progress=progress)
    files = tuple(str(root / drawn[stem]) for stem in images)
    arrays, sides = [], []
    for name, image in zip(files, images.values(), strict=True):
        mask = masks.decode(folder.read_file(pathlib.Path(name)), name=name, void=told.void)
        sides.append(photos.sides_of(folder.read_file(root / image), name=str(root / image)))
        masks.check_sides(mask, sides[-1], name=name)
        arrays.append(mask)
    return _Pairs(listing, tuple(arrays), files, tuple(sides))


def _by_stem(part: pathlib.Path, root: pathlib.Path, *, masks: bool) -> dict[str, str]:
    """Map names without extensions to paths relative to `root`; InputError for two alike."""
    if not part.is_dir():
        raise InputError(f"{part}: expected a folder of {part.name}, found none")
    is_mask = (lambda name: name.lower().endswith(".png")) if masks else photos.readable
    found: dict[str, str] = {}
    for path in folder.photo_paths(part, root=root, inside=root, is_photo=is_mask):
        stem = pathlib.PurePosixPath(path).stem
        if stem in found:
            raise InputError(f"{root / path}: expected one file {stem}, found {found[stem]} too")
        found[stem] = path
    return found


def _numbers(
    root: pathlib.Path, found: dict[str, _Pairs], told: Labels
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the numbers that the masks have, in order, and the names of their classes."""
    called = told.classes or _listed(root / LIST)
    names.check("--classes" if told.classes else str(root / LIST), called, least=0)
    present = np.zeros(VOID + 1, bool)
    for pairs in found.values():
        for name, mask in zip(pairs.files, pairs.masks, strict=True):
            here = np.bincount(mask.reshape(-1), minlength=VOID + 1) > 0
            here[VOID] = False
            if called and (above := np.flatnonzero(here[len(called) :])).size:
                most = len(called) + int(above[0])
                expected = f"classes 0 to {len(called) - 1} ({', '.join(called[-1:])} is the last)"
                raise InputError(
                    f"{name}: expected {expected}, found {most}; --void {most} leaves it out"
                )
            present |= here
    numbers = tuple(int(number) for number in np.flatnonzero(present))
    return numbers, tuple(called[n] if called else f"class {n}" for n in numbers)


def _listed(path: pathlib.Path) -> tuple[str, ...]:
    """Read a list of classes; empty where there is none."""
    if not path.is_file():
        return ()
    try:
        lines = folder.read_file(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8 text: {error.reason}") from None
    called = tuple(names.read(line) for line in lines)
    while called and not called[-1]:
        called = called[:-1]
    if not called or "" in called:
        raise InputError(f"{path}: expected a name in each line, found an empty one")
    return called


def _shape(sides: list[tuple[int, int]], size: int) -> tuple[int, int]:
    """Return height and width of the set: of the photographs' one shape, or a square."""
    ratios = [height / width for height, width in sides]
    if max(ratios) > 1.01 * min(ratios):
        return size, size
    ratio = float(np.median(ratios))
    shape = (round(size * ratio), size) if ratio > 1 else (size, round(size / ratio))
    if math.prod(shape) > photos.MAX_PIXELS:
        raise InputError(f"size: expected less of these, found {photos.across(shape)} pixels")
    return shape


def _taken(whole: _Pairs, part: Listing) -> _Pairs:
    """Select a part of a split."""
    place = {name: i for i, name in enumerate(whole.listing.ids)}
    chosen = [place[name] for name in part.ids]
    return _Pairs(
        part,
        tuple(whole.masks[i] for i in chosen),
        tuple(whole.files[i] for i in chosen),
        tuple(whole.sides[i] for i in chosen),
    )
