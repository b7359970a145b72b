"""Keras's HDF5 in every layout.

Official files, `save_weights`, `model.save`, `.weights.h5` and `.keras`. Layouts differ in groups
and names; in all of them the path to a kernel or bias contains the layer's name.
"""

import contextlib
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tljax.data.preprocess import CAFFE
from tljax.errors import InputError
from tljax.models.vgg import CONVS
from tljax.tree import Json
from tljax.weights.contents import Contents, Leaf, read_about
from tljax.weights.keras import heap as hdf5_heap
from tljax.weights.vgg16 import TOP

MEMBER = "model.weights.h5"  # in a .keras archive
NOTE = "tljax"  # a dataset of ours, which Keras ignores
OTHERS = ("optimizer", "optimizer_weights", NOTE)  # at the root, but not parameters of the model
FILTERS = (1, 2, 3)  # deflate, shuffle, fletcher32, built into HDF5; any other would load a plugin
COMPRESSION = 16  # times the stored bytes: no weights compress as well
DEPTH, COUNT = 16, 4096  # groups in groups, links in all: hard links can go in circles
# Keras before it stored layer names: numbered by kind, in the model's order.
NUMBERED = re.compile(r"(conv2d|dense)(?:_(\d+))?")
KINDS = {"conv2d": CONVS, "dense": TOP}


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """Open the leaves of a Keras HDF5 file or a `.keras` archive.

    InputError for links and shapes that lead out of the file; nothing in it is executed.
    """
    import h5py

    with contextlib.ExitStack() as stack:
        try:
            packed = _unpacked(path) if _is_archive(path) else None
            file = stack.enter_context(h5py.File(packed or path, "r"))
            hdf5_heap.check(path, file, unpacked=packed.getvalue() if packed else None)
            leaves = _leaves(path, file)
            about = _note(path, file)
        except InputError:
            raise
        # What h5py raises for damage.
        except (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError) as error:
            raise InputError(f"{path}: expected a whole HDF5 file: {_line(error)}") from None
        yield Contents(leaves, CAFFE, "Keras HDF5", about)


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _unpacked(path: Path) -> io.BytesIO:
    """Read the archive's HDF5 file into memory and check its CRC."""
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(MEMBER)
            if info.file_size > COMPRESSION * path.stat().st_size:
                raise InputError(
                    f"{path}: {MEMBER}: declares {info.file_size} bytes, "
                    "more than the file can hold"
                )
            return io.BytesIO(archive.read(info))
    # RuntimeError: encrypted, or unknown packing.
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError) as error:
        raise InputError(f"{path}: {MEMBER}: expected a whole archive: {_line(error)}") from None


def _leaves(path: Path, file: Any) -> dict[str, Leaf]:
    leaves: dict[str, Leaf] = {}
    for names, dataset in _datasets(path, file):
        own = "/".join(names)
        layer = _layer(path, file, names)
        key = own if layer is None else f"{layer}/{'bias' if len(dataset.shape) == 1 else 'kernel'}"
        if key in leaves:
            raise InputError(
                f"{path}: leaf {key}: expected one, found {leaves[key].name} and {own}"
            )
        leaves[key] = Leaf(own, dataset.shape, dataset.dtype.name, _reader(path, own, dataset))
    return leaves


def _datasets(path: Path, file: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each dataset that may be a parameter, with its names from the root.

    Only hard links are followed.
    """
    import h5py

    waiting: list[tuple[tuple[str, ...], Any]] = [((), file)]
    links = 0
    while waiting:
        above, group = waiting.pop()
        for name in sorted(map(_text, group), reverse=True):
            names = (*above, name)
            if names[0] in OTHERS:
                continue
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InputError(
                    f"{path}: {'/'.join(names)}: expected data, found a link to elsewhere"
                )
            links += 1
            if len(names) > DEPTH or links > COUNT:
                raise InputError(
                    f"{path}: {'/'.join(names)[:80]}: too many groups, "
                    "or groups that contain themselves"
                )
            if isinstance(item := group[name], h5py.Group):
                waiting.append((names, item))
            elif isinstance(item, h5py.Dataset):
                _check(path, "/".join(names), item)
                yield names, item


def _text(name: str | bytes) -> str:
    """Decode a name; UnicodeError where it is not UTF-8, which h5py leaves in bytes."""
    return name.decode("utf-8") if isinstance(name, bytes) else name


def _check(path: Path, name: str, dataset: Any) -> None:
    """Check that the dataset's bytes are all in this file, and as many as its shape needs.

    InputError otherwise.
    """
    if dataset.is_virtual or dataset.external:
        raise InputError(f"{path}: {name}: expected data, found a reference to another file")
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    if any(number not in FILTERS for number in filters):
        raise InputError(
            f"{path}: {name}: expected plain or gzip, found a compression that needs a plugin"
        )
    if dataset.shape is None:
        raise InputError(f"{path}: {name}: expected an array, found an empty dataset")
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > stored * (COMPRESSION if filters else 1):
        raise InputError(
            f"{path}: {name}: declares {list(dataset.shape)} {dataset.dtype}, holds {stored} bytes"
        )


def _layer(path: Path, file: Any, names: tuple[str, ...]) -> str | None:
    """Find the VGG16 layer that a dataset belongs to; None where there is none."""
    if len(names) > 2 and names[-2] == "vars":
        stored = file["/".join(names[:-1])].attrs.get("name")
        if isinstance(stored, str):
            return stored if stored in CONVS + TOP else None
        if (match := NUMBERED.fullmatch(names[-3])) and int(match[2] or 0) < len(KINDS[match[1]]):
            return KINDS[match[1]][int(match[2] or 0)]
    return next((name for name in reversed(names) if name in CONVS + TOP), None)


def _reader(path: Path, name: str, dataset: Any) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        try:
            return dataset[()]
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(f"{path}: {name}: cannot be read: {_line(error)}") from None

    return read


def _note(path: Path, file: Any) -> Json:
    """Read the note that `keras_write` left; {} if another program wrote the file."""
    import h5py

    if not isinstance(file.get(NOTE, getlink=True), h5py.HardLink) or not isinstance(
        file[NOTE], h5py.Dataset
    ):
        return {}
    _check(path, NOTE, file[NOTE])
    return read_about(path, file[NOTE][()].tobytes())


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
