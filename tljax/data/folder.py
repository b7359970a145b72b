"""A folder of class folders -> listings: PATH/train/CLASS and PATH/validation/CLASS, or PATH/CLASS."""

import os
import pathlib

import numpy as np
from tqdm import tqdm

from tljax.data import photos
from tljax.data.photos import Listing
from tljax.errors import InputError

EXTENSIONS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif")  # other files are not looked at
VALIDATION = ("validation", "val", "valid")


def listings(root: pathlib.Path, *, progress: bool) -> tuple[tuple[str, ...], dict[str, Listing]]:
    """(classes, {"train", and maybe "validation", "test": ...}); without a validation folder, "train" has its part.

    The class list is made once over all splits, so a split that lacks a class keeps the labels of the others.
    """
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise InputError(f"{root}: expected a folder of class folders, found {found}")
    folders = split_folders(root)
    named = {split: _subfolders(path) for split, path in folders.items()}
    classes = tuple(sorted({name for names in named.values() for name in names}))
    found = {
        split: [(path, name) for name in named[split] for path in photo_paths(folders[split] / name, root=root)]
        for split in folders
    }
    _refuse_empty(root, classes, found)
    label = {name: i for i, name in enumerate(classes)}
    return classes, {
        split: _listing(root, [(path, label[name]) for path, name in found[split]], progress=progress)
        for split in found
        if split != "test" or found[split]
    }


def split_folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """{"train", and maybe "validation", "test": folder}; the root itself is "train" where it has no splits."""
    validation = [name for name in VALIDATION if (root / name).is_dir()]
    if not (root / "train").is_dir():
        if validation:
            raise InputError(f"{root}: expected a train folder beside {validation[0]}, found none")
        return {"train": root}
    if len(validation) > 1:
        raise InputError(f"{root}: expected one validation folder, found {' and '.join(validation)}")
    folders = {"train": root / "train"}
    if validation:
        folders["validation"] = root / validation[0]
    if (root / "test").is_dir():
        folders["test"] = root / "test"
    return folders


def photo_paths(folder: pathlib.Path, *, root: pathlib.Path) -> list[str]:
    """Paths relative to `root` of the visible files in `folder` with an image's extension, sorted.

    InputError for a link that leaves `root`: what a data set holds must not depend on the rest of the disk.
    """
    _refuse_outside(folder, root=root)
    paths = []
    for entry in _visible(folder):
        if entry.name.lower().endswith(EXTENSIONS) and not entry.is_dir():
            if entry.is_symlink():
                _refuse_outside(folder / entry.name, root=root)
            paths.append((folder / entry.name).relative_to(root).as_posix())
    return paths


def read_file(path: pathlib.Path) -> bytes:
    """The file's bytes; InputError naming it when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _subfolders(folder: pathlib.Path) -> list[str]:
    return [entry.name for entry in _visible(folder) if entry.is_dir()]


def _visible(folder: pathlib.Path) -> list[os.DirEntry]:
    """What is in `folder` and does not start with a dot, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None


def _refuse_outside(path: pathlib.Path, *, root: pathlib.Path) -> None:
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{path}: a link that leaves {root}, expected photographs inside it")


def _refuse_empty(root: pathlib.Path, classes: tuple[str, ...], found: dict[str, list[tuple[str, str]]]) -> None:
    """InputError for a split or a class without photographs."""
    if not classes:
        raise InputError(f"{root}: expected class folders, found none")
    looked_for = f"looked for {' '.join(EXTENSIONS)}"
    for split in found:
        if not found[split] and split != "test":
            raise InputError(f"{root}: no photograph in a class folder for {split} ({looked_for})")
    filled = {name for pairs in found.values() for _, name in pairs}
    for name in classes:
        if name not in filled:
            raise InputError(f"{root}: no photograph in class {name} ({looked_for})")


def _listing(root: pathlib.Path, labelled: list[tuple[str, int]], *, progress: bool) -> Listing:
    """Hashes every file."""
    ids = tuple(path for path, _ in labelled)
    hashed = tqdm(ids, desc="hash", unit="file", disable=not progress)
    return Listing(
        ids=ids,
        labels=np.array([label for _, label in labelled], np.int32),
        digests=tuple(photos.sha256(read_file(root / path)) for path in hashed),
        read=lambda i: read_file(root / ids[i]),
    )
