"""Folders -> listings: PATH/train/CLASS and PATH/validation/CLASS, or PATH/CLASS."""

import os
import pathlib

import numpy as np
from tqdm import tqdm

from tljax.data import photos
from tljax.data.photos import Listing
from tljax.errors import InputError

EXTENSIONS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif")  # other files are ignored
VALIDATION = ("validation", "val", "valid")


def listings(root: pathlib.Path, *, progress: bool) -> tuple[tuple[str, ...], dict[str, Listing]]:
    """List a folder: `(classes, {"train", and maybe "validation", "test": listing})`.

    Without a validation folder, "train" holds its photographs too. The class list is made once over
    all splits, so a split that lacks a class keeps the labels of the others.
    """
    if not root.is_dir():
        kind = "a file" if root.exists() else "nothing"
        raise InputError(f"{root}: expected a folder of class folders, found {kind}")
    folders = split_folders(root)
    names = {split: _subfolders(path) for split, path in folders.items()}
    classes = tuple(sorted({name for subfolders in names.values() for name in subfolders}))
    pairs = {
        split: [
            (path, name)
            for name in names[split]
            for path in photo_paths(folders[split] / name, root=root)
        ]
        for split in folders
    }
    _refuse_empty(root, classes, pairs)
    label = {name: i for i, name in enumerate(classes)}
    return classes, {
        split: _listing(
            root, [(path, label[name]) for path, name in pairs[split]], progress=progress
        )
        for split in pairs
        if split != "test" or pairs[split]
    }


def split_folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Find the folders of the splits: `{"train", and maybe "validation", "test": folder}`.

    The root itself is "train" where it has no splits.
    """
    validation = [name for name in VALIDATION if (root / name).is_dir()]
    if not (root / "train").is_dir():
        if validation:
            raise InputError(f"{root}: expected a train folder beside {validation[0]}, found none")
        return {"train": root}
    if len(validation) > 1:
        raise InputError(
            f"{root}: expected one validation folder, found {' and '.join(validation)}"
        )
    folders = {"train": root / "train"}
    if validation:
        folders["validation"] = root / validation[0]
    if (root / "test").is_dir():
        folders["test"] = root / "test"
    return folders


def photo_paths(folder: pathlib.Path, *, root: pathlib.Path) -> list[str]:
    """List the visible files in `folder` with an image's extension, sorted, relative to `root`.

    InputError for a link that leaves `root`: a data set must not depend on the rest of the disk.
    """
    _refuse_outside(folder, root=root)
    paths = []
    for entry in _visible(folder):
        if entry.name.lower().endswith(EXTENSIONS) and not entry.is_dir():
            if entry.is_symlink():
                _refuse_outside(folder / entry.name, root=root)
            paths.append((folder / entry.name).relative_to(root).as_posix())
    return paths


def all_photo_paths(root: pathlib.Path) -> list[pathlib.Path]:
    """List the photographs in a folder and in the folders below it, sorted within each.

    InputError for a link to a folder, which may lead back up, and for one that leaves its folder.
    """
    paths = [root / path for path in photo_paths(root, root=root)]
    for below in (root / name for name in _subfolders(root)):
        if below.is_symlink():
            raise InputError(f"{below}: a link to a folder, expected the folder itself")
        paths += all_photo_paths(below)
    return paths


def read_file(path: pathlib.Path) -> bytes:
    """Read the file's bytes; InputError naming it when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _subfolders(folder: pathlib.Path) -> list[str]:
    return [entry.name for entry in _visible(folder) if entry.is_dir()]


def _visible(folder: pathlib.Path) -> list[os.DirEntry]:
    """List the entries of `folder` that do not start with a dot, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name
            )
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None


def _refuse_outside(path: pathlib.Path, *, root: pathlib.Path) -> None:
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{path}: a link that leaves {root}, expected photographs inside it")


def _refuse_empty(
    root: pathlib.Path, classes: tuple[str, ...], photographs: dict[str, list[tuple[str, str]]]
) -> None:
    """Check that every class and every split but test has photographs; InputError otherwise."""
    if not classes:
        raise InputError(f"{root}: expected class folders, found none")
    extensions = f"looked for {' '.join(EXTENSIONS)}"
    for split, pairs in photographs.items():
        if not pairs and split != "test":
            raise InputError(f"{root}: no photograph in a class folder for {split} ({extensions})")
    filled = {name for pairs in photographs.values() for _, name in pairs}
    for name in classes:
        if name not in filled:
            raise InputError(f"{root}: no photograph in class {name} ({extensions})")


def _listing(root: pathlib.Path, labelled: list[tuple[str, int]], *, progress: bool) -> Listing:
    """Hash every file and make the listing."""
    ids = tuple(path for path, _ in labelled)
    hashed = tqdm(ids, desc="hash", unit="file", disable=not progress)
    return Listing(
        ids=ids,
        labels=np.array([label for _, label in labelled], np.int32),
        digests=tuple(photos.sha256(read_file(root / path)) for path in hashed),
        read=lambda i: read_file(root / ids[i]),
    )
