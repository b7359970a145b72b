"""A folder of class folders -> listings: PATH/train/CLASS and PATH/validation/CLASS, or PATH/CLASS."""

import pathlib

import numpy as np
from tqdm import tqdm

from tljax.data import photos
from tljax.data.photos import Listing
from tljax.errors import InputError

VALIDATION = ("validation", "val", "valid")


def listings(root: pathlib.Path, *, progress: bool) -> tuple[tuple[str, ...], dict[str, Listing]]:
    """(classes, {"train": ..., "validation": ...}); without a validation folder, everything is under "train".

    The class list is made once over all splits, so a split that lacks a class keeps the labels of the others.
    """
    if not root.is_dir():
        raise InputError(
            f"{root}: expected a folder of class folders, found {'a file' if root.exists() else 'nothing'}"
        )
    found = split_folders(root)
    named = {split: photos.class_folders(path) for split, path in found.items()}
    classes = tuple(sorted({name for names in named.values() for name in names}))
    paths = {
        split: [
            (name, path) for name in named[split] for path in photos.photo_paths(folder / name, root=root)
        ]
        for split, folder in found.items()
    }
    _refuse_empty(root, classes, paths)
    return classes, {
        split: _listing(root, paths[split], classes, progress=progress) for split in paths if split != "test"
    }


def split_folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """{"train", and maybe "validation" and "test": folder}; the root itself is "train" where it has no splits."""
    validation = [name for name in VALIDATION if (root / name).is_dir()]
    if not (root / "train").is_dir():
        if validation:
            raise InputError(f"{root}: expected a train folder beside {validation[0]}, found none")
        return {"train": root}
    if len(validation) > 1:
        raise InputError(f"{root}: expected one validation folder, found {' and '.join(validation)}")
    found = {"train": root / "train"} | {"validation": root / name for name in validation}
    return found | ({"test": root / "test"} if (root / "test").is_dir() else {})


def _refuse_empty(
    root: pathlib.Path, classes: tuple[str, ...], paths: dict[str, list[tuple[str, str]]]
) -> None:
    """InputError for a split or a class without photographs."""
    if not classes:
        raise InputError(f"{root}: expected class folders, found none")
    for split, found in paths.items():
        if not found and split != "test":
            raise InputError(f"{root}: no photograph for {split} (looked for {' '.join(photos.EXTENSIONS)})")
    filled = {name for found in paths.values() for name, _ in found}
    for name in classes:
        if name not in filled:
            raise InputError(
                f"{root}: no photograph in class {name} (looked for {' '.join(photos.EXTENSIONS)})"
            )


def _listing(
    root: pathlib.Path, paths: list[tuple[str, str]], classes: tuple[str, ...], *, progress: bool
) -> Listing:
    """Hashes every file."""
    label = {name: i for i, name in enumerate(classes)}
    ids = tuple(path for _, path in paths)
    hashed = tqdm(ids, desc="hash", unit="file", disable=not progress)
    return Listing(
        ids=ids,
        labels=np.array([label[name] for name, _ in paths], np.int32),
        digests=tuple(photos.sha256(photos.read_file(root / path)) for path in hashed),
        read=lambda i: photos.read_file(root / ids[i]),
    )
