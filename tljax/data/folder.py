"""Folders -> listings: PATH/train/CLASS and PATH/validation/CLASS, or PATH/CLASS."""

import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tljax import waiting
from tljax.data import left_out, names, photos
from tljax.data.photos import Listing
from tljax.errors import InputError
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.task import Task

# Names of the folders of each split, in lower case.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid"),
    "test": ("test", "testing"),
}


class Found(NamedTuple):
    """Hold the classes of a source, a listing for each split, and counts of what was left out."""

    classes: tuple[str, ...]
    listings: dict[str, Listing]  # "train", and maybe "validation" and "test"
    left_out: tuple[str, ...] = ()
    task: Task = CLASSIFICATION


def listings(root: pathlib.Path, *, progress: bool, follow_links: bool = False) -> Found:
    """List the photographs of a folder; without a validation folder, "train" holds its own too.

    The class list is made once over all splits, from names as they are read (`names.read`), so a
    split that lacks a class keeps the labels of the others. InputError for classes that read alike,
    and for links that leave the folder unless they are to be followed.
    """
    if not root.is_dir():
        kind = "a file" if root.exists() else "nothing"
        raise InputError(f"{root}: expected a folder of class folders, found {kind}")
    folders = split_folders(root)
    inside = None if follow_links else root
    paths = of_classes(root, folders, inside=inside)
    classes = tuple(sorted({name for by_class in paths.values() for name in by_class}))
    pairs = {
        split: [
            (path, label)
            for label, name in enumerate(classes)
            for path in paths[split].get(name, [])
        ]
        for split in paths
    }
    _refuse_empty(root, classes, pairs)
    used = {path for labelled in pairs.values() for path, _ in labelled}
    return Found(
        classes,
        {
            split: listing(root, labelled, progress=progress)
            for split, labelled in pairs.items()
            if labelled  # test alone may be empty
        },
        left_out.of_folder(root, folders, used),
    )


def split_folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Find the folders of the splits: `{"train", and maybe "validation", "test": folder}`.

    Case does not count. The root itself is "train" where it has no splits; a lone folder "train"
    that has no folders in it, beside others with photographs, is a class like them.
    """
    there = subfolders(root)
    found = {split: [n for n in there if n.lower() in spelt] for split, spelt in SPLITS.items()}
    for split, folders in found.items():
        if len(folders) > 1:
            several = " and ".join(folders)
            raise InputError(f"{root}: expected one {split} folder, found {several}")
    if not found["train"]:
        if found["validation"]:
            beside = found["validation"][0]
            raise InputError(f"{root}: expected a train folder beside {beside}, found none")
        return {"train": root}
    if sum(map(len, found.values())) == 1 < len(there) and not subfolders(root / found["train"][0]):
        return {"train": root}
    return {split: root / folders[0] for split, folders in found.items() if folders}


def of_classes(
    root: pathlib.Path,
    folders: Mapping[str, pathlib.Path],
    *,
    inside: pathlib.Path | None,
    is_photo: Callable[[str], bool] = photos.readable,
) -> dict[str, dict[str, list[str]]]:
    """List the files of each class in each split, as `photo_paths` does those of a folder.

    InputError for two folders whose names read alike.
    """
    paths: dict[str, dict[str, list[str]]] = {}
    for split, path in folders.items():
        paths[split] = {}
        for folder in subfolders(path):
            name = names.read(folder)
            if name in paths[split]:
                raise InputError(f"{path}: expected one folder of class {name!r}, found two")
            each = photo_paths(path / folder, root=root, inside=inside, is_photo=is_photo)
            paths[split][name] = each
    return paths


def photo_paths(
    folder: pathlib.Path,
    *,
    root: pathlib.Path,
    inside: pathlib.Path | None,
    is_photo: Callable[[str], bool] = photos.readable,
) -> list[str]:
    """List the visible files in `folder` that are photographs by name, relative to `root`, sorted.

    InputError for a link that leaves `inside`, unless that is None: a data set must not depend on
    the rest of the disk unasked.
    """
    _refuse_outside(folder, inside)
    paths = []
    for entry in visible(folder):
        if is_photo(entry.name) and not entry.is_dir():
            if entry.is_symlink():
                _refuse_outside(folder / entry.name, inside)
            paths.append((folder / entry.name).relative_to(root).as_posix())
    return paths


def all_photo_paths(root: pathlib.Path) -> list[pathlib.Path]:
    """List the photographs in a folder and in the folders below it, sorted within each.

    Those that want a plugin are among them: reading them says which. InputError for a link to a
    folder, which may lead back up, and for one that leaves its folder.
    """
    paths = [root / path for path in photo_paths(root, root=root, inside=root, is_photo=_known)]
    for below in (root / name for name in subfolders(root)):
        if below.is_symlink():
            raise InputError(f"{below}: a link to a folder, expected the folder itself")
        paths += all_photo_paths(below)
    return paths


def _known(name: str) -> bool:
    return name.lower().endswith(photos.EXTENSIONS)


def read_file(path: pathlib.Path) -> bytes:
    """Read the file's bytes; InputError naming it when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def listing(root: pathlib.Path, labelled: list[tuple[str, int]], *, progress: bool) -> Listing:
    """Hash every file and make the listing, with the place of each file's class."""
    labels = np.array([label for _, label in labelled], np.int32)
    return listed(root, [path for path, _ in labelled], labels, progress=progress)


def listed(
    root: pathlib.Path, paths: Sequence[str], labels: np.ndarray, *, progress: bool
) -> Listing:
    """Hash every file and make the listing, with these labels `[N, ...]`."""
    ids = tuple(paths)
    hashed = waiting.over(ids, "look through the files", unit="files", shown=progress)
    return Listing(
        ids=ids,
        labels=labels,
        digests=tuple(photos.sha256(read_file(root / path)) for path in hashed),
        read=lambda i: read_file(root / ids[i]),
    )


def subfolders(folder: pathlib.Path) -> list[str]:
    """List the names of the visible folders in `folder`, without those that systems leave."""
    return [e.name for e in visible(folder) if e.is_dir() and e.name.lower() not in left_out.SYSTEM]


def visible(folder: pathlib.Path) -> list[os.DirEntry[str]]:
    """List the entries of `folder` that do not start with a dot, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name
            )
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None


def _refuse_outside(path: pathlib.Path, inside: pathlib.Path | None) -> None:
    if inside is not None and not path.resolve().is_relative_to(inside.resolve()):
        raise InputError(
            f"{path}: a link that leaves {inside}, expected photographs inside it; "
            "--follow-links (follow_links=True) reads it"
        )


def _refuse_empty(
    root: pathlib.Path, classes: tuple[str, ...], pairs: dict[str, list[tuple[str, int]]]
) -> None:
    """Check that every split but test has photographs, and training those of every class.

    InputError says where the photographs lie instead.
    """
    if not classes:
        raise InputError(f"{root}: expected class folders, found none{_instead(root)}")
    for split, labelled in pairs.items():
        if not labelled and split != "test":
            raise InputError(f"{root}: no photograph in a class folder for {split}{_instead(root)}")
    filled = {label for labelled in pairs.values() for _, label in labelled}
    for label, name in enumerate(classes):
        if label not in filled:
            raise InputError(f"{root}: no photograph in class {name}{_instead(root, name)}")
    counts = {
        split: np.bincount([i for _, i in x], minlength=len(classes)) for split, x in pairs.items()
    }
    names.refuse_unseen(str(root), classes, counts)
    if len(classes) > 1:
        names.check(str(root), classes)


def _instead(root: pathlib.Path, name: str = "") -> str:
    """Say where photographs lie that are in no class folder, or what was looked for."""
    paths = [pathlib.PurePosixPath(path) for path in left_out.deeper(root)]
    paths = [path for path in paths if not name or name in path.parts[:-1]]
    if not paths:
        texts = next(root.glob("*/**/*.txt"), None) and "; --task text reads .txt"
        return f" (looked for {' '.join(photos.EXTENSIONS)}{texts or ''})"
    flat = [path for path in paths if len(path.parts) == 1]
    if flat:
        return f": {len(flat)} photographs lie in it directly; csv:FILE reads labels from a table"
    tops = {path.parts[0] for path in paths}
    whole = len(tops) == 1 and not name and all(len(path.parts) == 3 for path in paths)
    advice = f"give folder:{root / min(tops)}" if whole else "move them up into their class folder"
    return f": {len(paths)} lie one folder deeper, such as {min(paths)}; {advice}"
