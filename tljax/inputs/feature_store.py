"""The feature store: activations of a frozen prefix on a set of images, kept in HDF5.

The HDF5 file holds finished sets only, a group each; a set that is being computed is a part file
next to it (`feature_rows.py`).
"""

# pyright: strict
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnnecessaryIsInstance=false

import contextlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tljax.errors import InputError
from tljax.files import disk
from tljax.files.hdf5_draft import Draft
from tljax.inputs import feature_rows
from tljax.inputs.feature_rows import DTYPES, Compute, RowSet

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Rows:
    """Describe rows `[count, *shape]` of float32, float16 or bfloat16.

    `name` says which set ("train"), `identity` all that the rows depend on, as plain JSON: digests
    of data and weights, preprocessing, layer, views, seed. Another value of any field is another
    set.
    """

    name: str
    identity: Mapping[str, object]
    count: int
    shape: tuple[int, ...]
    dtype: DTypeLike = "float32"


def stored(path: Path, target: Rows, *, compute: Compute, block: int) -> np.ndarray:
    """Return the rows in memory; `compute(start, stop)` gives those not on disk, `block` at a time.

    A pass that was stopped, even killed, continues after its last whole block; another process that
    writes in the folder is waited for. InputError for a file that is damaged or not HDF5, and for
    activations that are not finite; `disk.Unwritable` where they cannot be kept. The disk holds a
    set twice while it is added.
    """
    if target.count < 1 or block < 1:
        raise InputError(
            f"{target.name}: expected at least 1 for count and block, "
            f"found {target.count} and {block}"
        )
    whole = _row_set(Path(path), target)
    rows = _read(whole)
    if rows is None:
        with feature_rows.alone(whole.path):
            rows = _read(whole)  # another process may just have finished it
            if rows is None:
                rows = feature_rows.computed(whole, compute, block=block)
                with disk.refusal(whole.path):
                    _add(whole, rows)
    # Left by a kill after the last block; the folder may be read-only.
    with contextlib.suppress(OSError):
        whole.part.unlink()
    return rows


def found(path: Path, target: Rows) -> np.ndarray | None:
    """Return the rows that `stored` left there, verified; None where there are none."""
    return _read(_row_set(path, target))


def computed(target: Rows, *, compute: Compute, block: int) -> np.ndarray:
    """Return the rows in memory alone, where no disk takes them."""
    whole = _row_set(Path(target.name), target)
    rows = np.empty(whole.shape, whole.dtype)
    for _ in feature_rows.in_blocks(whole, compute, rows, done=0, block=block):
        pass
    return rows


def _row_set(path: Path, rows: Rows) -> RowSet:
    name, identity, dtype = rows.name, rows.identity, rows.dtype
    shape = (rows.count, *map(int, rows.shape))
    dtype_name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    if dtype_name not in DTYPES:
        raise InputError(f"{name}: dtype: expected {', '.join(DTYPES)}, found {dtype_name}")
    for word in (name, *identity):
        if not isinstance(word, str) or not re.fullmatch(r"\w+", word, re.ASCII):
            raise InputError(
                f"{path}: name and identity: expected letters, digits and _, found {word!r}"
            )
    try:
        key = {"name": name, "identity": dict(identity), "shape": list(shape), "dtype": dtype_name}
        key = json.dumps(key, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: identity: expected plain JSON: {error}") from None
    attributes = {word: _attribute(value) for word, value in identity.items()}
    return RowSet(path, name, key, attributes, shape, DTYPES[dtype_name])


def _attribute(value: object) -> bytes | int | float:
    """Convert a value to what HDF5 can hold: numbers and plain text unchanged, the rest as JSON.

    Text has a fixed length: HDF5's checksums cover it, and variable-length text, if damaged, hangs
    the reader.
    """
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    plain = isinstance(value, str) and value.isascii() and value.isprintable() and value
    return np.bytes_(value if plain else json.dumps(value, sort_keys=True))


def _add(target: RowSet, rows: np.ndarray) -> None:
    """Add the finished set to a copy of the file, and replace the file by the copy."""
    import h5py

    draft = target.path.with_name(f".{target.path.name}.draft")
    draft.unlink(missing_ok=True)
    try:
        if target.path.exists():
            shutil.copyfile(target.path, draft)
        # The format of HDF5 1.10 has checksums: without them a flipped bit can crash or hang the
        # reader.
        with Draft(draft) as content, h5py.File(content, "a", libver=("v110", "v110")) as file:
            group = file.create_group(target.group)
            group.attrs.update(target.attributes)
            chunks = (min(len(rows), max(1, CHUNK_BYTES // rows[0].nbytes)), *rows.shape[1:])
            data = group.create_dataset(
                "activations", data=rows.view(target.on_disk), chunks=chunks
            )
            data.attrs.update(target.sealed(rows))
        with draft.open("rb+") as file:
            os.fsync(file.fileno())  # a power cut must not leave the name without the bytes
        os.replace(draft, target.path)
    finally:
        draft.unlink(missing_ok=True)


def _read(target: RowSet) -> np.ndarray | None:
    """Read and verify the rows; None where the file or its group is not there."""
    import h5py

    if not target.path.exists():
        return None
    try:
        # Finished files are replaced, never written to: HDF5's lock would only fail where there are
        # none.
        with h5py.File(target.path, "r", locking=False) as file:
            if not file.id.links.exists(target.group.encode()):
                return None
            return _verified(target, _child(file, target.group, h5py.Group))
    except FileNotFoundError:  # deleted since, as `tljax cache` does
        return None
    except Exception as error:  # damage surfaces from h5py as almost any type
        known = isinstance(error, InputError)
        problem = error if known else f"expected whole HDF5, found {f'{error!r}'[:200]}"
    where = f"{target.path}: group {target.group}"
    raise InputError(f"{where}: {problem}; delete the file to compute it again")


def _verified(target: RowSet, group: Any) -> np.ndarray:
    import h5py

    data = _child(group, "activations", h5py.Dataset)
    rows = np.empty(target.shape, target.on_disk)
    if data.external or data.is_virtual:
        raise InputError("expected the data itself, found rows that lie in another file")
    if data.shape != rows.shape or data.dtype != rows.dtype:
        raise InputError(
            f"expected {rows.dtype}{list(rows.shape)}, found {data.dtype}{list(data.shape)}"
        )
    data.read_direct(rows)
    rows = rows.view(target.dtype)
    if dict(group.attrs) != target.attributes or dict(data.attrs) != target.sealed(rows):
        raise InputError(
            "expected what was written, found other attributes or activations (sha256)"
        )
    return rows


def _child(parent: Any, name: str, kind: type) -> Any:
    """Open the child `name` in this very file; a link elsewhere is refused, never followed."""
    import h5py.h5l

    if parent.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise InputError(f"{name}: expected the data itself, found a soft or external link")
    if not isinstance(child := parent[name], kind):
        raise InputError(f"{name}: expected a {kind.__name__}, found a {type(child).__name__}")
    return child
