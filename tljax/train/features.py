"""The frozen prefix of a network run once over a set of images, its activations kept in HDF5.

The HDF5 file holds finished sets only, a group each: HDF5 has no journal, and a writer killed at the wrong
moment can take the whole file with it. A set under way is a file of its own, `FILE.GROUP.part`: blocks of
rows, each sealed with its digest, so that what a kill leaves behind has a prefix that can be trusted.
"""

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import os
import re
import shutil
import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from tqdm import tqdm

from tljax.errors import InputError

SEAL = struct.Struct("<Q32s")  # before each block of a part: how many rows follow, and their digest
CHUNK_BYTES = 1 << 20
DTYPES = {np.dtype(kind).name: np.dtype(kind) for kind in (np.float32, np.float16, ml_dtypes.bfloat16)}

Compute = Callable[[int, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class _Set:
    """What is wanted, and where it lies."""

    path: Path
    name: str
    key: str  # canonical JSON of all that tells one set from another
    attributes: dict[str, Any]  # the identity, for people
    shape: tuple[int, ...]  # [count, ...]
    dtype: np.dtype

    @functools.cached_property
    def group(self) -> str:
        return f"{self.name}-{hashlib.sha256(self.key.encode()).hexdigest()[:16]}"

    @property
    def part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.{self.group}.part")

    @property
    def on_disk(self) -> np.dtype:
        return np.dtype(np.uint16) if self.dtype.name == "bfloat16" else self.dtype  # new in HDF5 2.0

    def digest(self, rows: np.ndarray, *, start: int = 0) -> bytes:
        """sha256 of the rows, of their place and of the set they belong to."""
        digest = hashlib.sha256(f"{self.key}\0{start}\0".encode())
        digest.update(_bytes(rows))
        return digest.digest()

    def sealed(self, rows: np.ndarray) -> dict[str, Any]:
        """The attributes of the finished rows."""
        return {"dtype": np.bytes_(self.dtype.name), "sha256": np.bytes_(self.digest(rows).hex())}


def stored(
    path: Path,
    *,
    name: str,
    identity: Mapping[str, Any],
    count: int,
    shape: tuple[int, ...],
    dtype: Any = "float32",
    compute: Compute,
    block: int,
    progress: bool = True,
) -> np.ndarray:
    """Rows `[count, *shape]`, in memory; `compute(start, stop)` gives those not on disk, `block` at a time.

    `name` says which set ("train"), `identity` all that the rows depend on, as plain JSON: digests of data
    and weights, preprocessing, layer, views, seed. Another value of any of them, of `count`, `shape` or
    `dtype` (float32, float16, bfloat16) is another set. A pass that was stopped, even killed, continues after
    its last whole block. InputError for a file that is damaged or not HDF5, for activations that are not
    finite, and where another process is writing the same file. The disk holds a set twice while it is added.
    """
    if count < 1 or block < 1:
        raise InputError(f"{name}: expected at least 1 for count and block, found {count} and {block}")
    wanted = _wanted(Path(path), name, identity, shape=(count, *map(int, shape)), dtype=dtype)
    rows = _read(wanted)
    if rows is None:
        wanted.path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(wanted.path):
            rows = _read(wanted)  # another process may just have finished it
            if rows is None:
                rows = _computed(wanted, compute, block=block, progress=progress)
                _add(wanted, rows)
    with contextlib.suppress(OSError):  # left by a kill after the last block; the folder may be read-only
        wanted.part.unlink()
    return rows


def longest_frozen_prefix(layers: Sequence[str], frozen: Collection[str]) -> str | None:
    """The last layer before the first that trains, counted from the input; None if the first layer trains.

    `frozen` names the frozen layers that have parameters; layers whose names end in "pool" have none.
    """
    if unknown := sorted(set(frozen) - set(layers)):
        raise InputError(f"frozen: expected layers among {', '.join(layers)}; found {', '.join(unknown)}")
    last = None
    for layer in layers:
        if layer not in frozen and not layer.endswith("pool"):
            break
        last = layer
    return last


def _wanted(path: Path, name: str, identity: Mapping[str, Any], *, shape: tuple[int, ...], dtype: Any) -> _Set:
    dtype_name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    if dtype_name not in DTYPES:
        raise InputError(f"{name}: dtype: expected {', '.join(DTYPES)}, found {dtype_name}")
    for word in (name, *identity):
        if not isinstance(word, str) or not re.fullmatch(r"\w+", word, re.ASCII):
            raise InputError(f"{path}: name and identity: expected letters, digits and _, found {word!r}")
    try:
        key = {"name": name, "identity": dict(identity), "shape": list(shape), "dtype": dtype_name}
        key = json.dumps(key, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: identity: expected plain JSON: {error}") from None
    attributes = {word: _attribute(value) for word, value in identity.items()}
    return _Set(path, name, key, attributes, shape, DTYPES[dtype_name])


def _attribute(value: Any) -> Any:
    """As HDF5 can hold it: numbers and plain text as they are, all else as JSON.

    Text of fixed length: it lies under HDF5's checksums, and variable length text, damaged, hangs the reader.
    """
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    plain = isinstance(value, str) and value.isascii() and value.isprintable() and value
    return np.bytes_(value if plain else json.dumps(value, sort_keys=True))


def _bytes(rows: np.ndarray) -> memoryview:
    return rows.reshape(-1).view(np.uint8).data  # bfloat16 has no buffer of its own


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two writers would lose each other's sets. The lock goes with the process, however that ends."""
    import fcntl

    with path.with_name(f".{path.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{path}: another process is writing it; wait, or take another folder") from None
        except OSError:
            pass  # a file system without locks
        yield


def _computed(wanted: _Set, compute: Compute, *, block: int, progress: bool) -> np.ndarray:
    """All rows: what the part holds, then the rest, added to the part block by block."""
    rows, count = np.empty(wanted.shape, wanted.dtype), wanted.shape[0]
    with wanted.part.open("a+b") as part:
        done = _continued(wanted, part, rows)
        with tqdm(total=count, initial=done, desc=wanted.name, unit="row", disable=not progress) as bar:
            for start in range(done, count, block):
                stop = min(start + block, count)
                found = rows[start:stop]
                found[...] = _checked(wanted, np.asarray(compute(start, stop)), start, stop)
                part.write(SEAL.pack(stop - start, wanted.digest(found, start=start)))
                part.write(_bytes(found))
                part.flush()
                bar.update(stop - start)
    return rows


def _continued(wanted: _Set, part: io.BufferedRandom, rows: np.ndarray) -> int:
    """Fill `rows` from the part, cut off at its first block that is not whole; how many rows that gives."""
    part.seek(0)
    done = end = 0
    while len(head := part.read(SEAL.size)) == SEAL.size:
        size, digest = SEAL.unpack(head)
        found = rows[done : done + size]
        if not 0 < size == len(found) or part.readinto(_bytes(found)) != found.nbytes:
            break
        if wanted.digest(found, start=done) != digest:
            break
        done, end = done + size, part.tell()
    part.truncate(end)
    return done


def _checked(wanted: _Set, found: np.ndarray, start: int, stop: int) -> np.ndarray:
    expected = (stop - start, *wanted.shape[1:])
    if found.shape != expected or found.dtype != wanted.dtype:
        kinds = f"expected {wanted.dtype}{list(expected)}, found {found.dtype}{list(found.shape)}"
        raise ValueError(f"compute({start}, {stop}): {kinds}")
    finite = np.isfinite(found).reshape(len(found), -1).all(1)
    if not finite.all():
        row = f"{wanted.name}: row {start + int(finite.argmin())}"
        raise InputError(f"{wanted.path}: {row}: expected finite activations, found NaN or infinite")
    return found


def _add(wanted: _Set, rows: np.ndarray) -> None:
    """Add the finished set to a copy of the file, which then takes its place."""
    import h5py

    draft = wanted.path.with_name(f".{wanted.path.name}.draft")
    draft.unlink(missing_ok=True)
    try:
        if wanted.path.exists():
            shutil.copyfile(wanted.path, draft)
        # The format of HDF5 1.10 has checksums: without them a flipped bit can crash or hang the reader.
        with h5py.File(draft, "a", locking=False, libver=("v110", "v110")) as file:
            group = file.create_group(wanted.group)
            group.attrs.update(wanted.attributes)
            chunks = (min(len(rows), max(1, CHUNK_BYTES // rows[0].nbytes)), *rows.shape[1:])
            data = group.create_dataset("activations", data=rows.view(wanted.on_disk), chunks=chunks)
            data.attrs.update(wanted.sealed(rows))
        with draft.open("rb+") as file:
            os.fsync(file.fileno())  # a power cut must not leave the name without the bytes
        os.replace(draft, wanted.path)
    finally:
        draft.unlink(missing_ok=True)


def _read(wanted: _Set) -> np.ndarray | None:
    """The verified rows, or None where the file or its group is not there."""
    import h5py

    if not wanted.path.exists():
        return None
    try:
        # Finished files are replaced, never written to: HDF5's lock would only fail where there are none.
        with h5py.File(wanted.path, "r", locking=False) as file:
            if not file.id.links.exists(wanted.group.encode()):
                return None
            return _verified(wanted, _child(file, wanted.group, h5py.Group))
    except Exception as error:  # damage surfaces from h5py as almost any type
        known = isinstance(error, InputError)
        problem = error if known else f"expected whole HDF5, found {f'{error!r}'[:200]}"
    where = f"{wanted.path}: group {wanted.group}"
    raise InputError(f"{where}: {problem}; delete the file to compute it again")


def _verified(wanted: _Set, group: Any) -> np.ndarray:
    import h5py

    data = _child(group, "activations", h5py.Dataset)
    rows = np.empty(wanted.shape, wanted.on_disk)
    if data.external or data.is_virtual:
        raise InputError("expected the data itself, found rows that lie in another file")
    if data.shape != rows.shape or data.dtype != rows.dtype:
        raise InputError(f"expected {rows.dtype}{list(rows.shape)}, found {data.dtype}{list(data.shape)}")
    data.read_direct(rows)
    rows = rows.view(wanted.dtype)
    if dict(group.attrs) != wanted.attributes or dict(data.attrs) != wanted.sealed(rows):
        raise InputError("expected what was written, found other attributes or activations (sha256)")
    return rows


def _child(parent: Any, name: str, kind: type) -> Any:
    """What lies in this very file under `name`: a link to elsewhere is refused before it is followed."""
    import h5py.h5l

    if parent.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise InputError(f"{name}: expected the data itself, found a soft or external link")
    if not isinstance(child := parent[name], kind):
        raise InputError(f"{name}: expected a {kind.__name__}, found a {type(child).__name__}")
    return child
