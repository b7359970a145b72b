"""Feature rows that are still being computed: blocks in a part file, each sealed with its digest.

HDF5 has no journal, and a writer killed at the wrong moment can take the whole file with it. A part
that a kill cut off still has a prefix that can be trusted.
"""

# pyright: strict

import contextlib
import dataclasses
import functools
import hashlib
import io
import os
import struct
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import ml_dtypes
import numpy as np

from tljax.errors import InputError
from tljax.files import disk, lock
from tljax.waiting import say

SEAL = struct.Struct("<Q32s")  # before each block of a part: how many rows follow, and their digest
DTYPES = {
    np.dtype(kind).name: np.dtype(kind) for kind in (np.float32, np.float16, ml_dtypes.bfloat16)
}

Attributes = dict[str, bytes | int | float]  # of a group or a set in HDF5
Compute = Callable[[int, int], np.ndarray]  # (start, stop) -> these rows


@dataclasses.dataclass(frozen=True)
class RowSet:
    """A set of rows to read or compute, and its file."""

    path: Path
    name: str
    key: str  # canonical JSON of all that distinguishes one set from another
    attributes: Attributes  # the identity, for people
    shape: tuple[int, ...]  # [count, ...]
    dtype: np.dtype

    @functools.cached_property
    def group(self) -> str:
        """Name the set's group in the HDF5 file."""
        return f"{self.name}-{hashlib.sha256(self.key.encode()).hexdigest()[:16]}"

    @property
    def part(self) -> Path:
        """Name the file of the rows that are computed so far."""
        return self.path.with_name(f"{self.path.name}.{self.group}.part")

    @property
    def on_disk(self) -> np.dtype:
        """Return the dtype in the HDF5 file, which has bfloat16 from HDF5 2.0 on only."""
        return np.dtype(np.uint16) if self.dtype.name == "bfloat16" else self.dtype

    def digest(self, rows: np.ndarray, *, start: int = 0) -> bytes:
        """Compute the sha256 of the rows, their place and the set they belong to."""
        digest = hashlib.sha256(f"{self.key}\0{start}\0".encode())
        digest.update(_bytes(rows))
        return digest.digest()

    def sealed(self, rows: np.ndarray) -> Attributes:
        """Return the attributes of the finished rows."""
        return {"dtype": np.bytes_(self.dtype.name), "sha256": np.bytes_(self.digest(rows).hex())}


@contextlib.contextmanager
def alone(path: Path) -> Generator[None]:
    """Hold the file's folder as its only writer; waits for another process, with a message.

    Two writers would lose each other's sets, and the second most likely wants the set that the
    first is making. The lock is on the folder itself: it leaves no file, and it ends with the
    process, however that ends.
    """
    with disk.refusal(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = path.parent.resolve()  # a link to a folder is one, too
        try:
            handle = lock.taken(folder, wait=False)
        except BlockingIOError:
            say(f"{path}: waiting for another process that writes there")
            handle = lock.taken(folder, wait=True)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def computed(target: RowSet, compute: Compute, *, block: int) -> np.ndarray:
    """Return all rows: read those of the part, and append the rest to it as they are computed."""
    rows = np.empty(target.shape, target.dtype)
    with disk.refusal(target.part):
        with target.part.open("a+b") as part:
            done = _continued(target, part, rows)
        file = target.part.open("ab", buffering=0)  # closing retries no refused write
    with file:
        blocks = in_blocks(target, compute, rows, done=done, block=block)
        for start, part_rows in blocks:
            with disk.refusal(target.part):
                _append(file, SEAL.pack(len(part_rows), target.digest(part_rows, start=start)))
                _append(file, _bytes(part_rows))
    return rows


def in_blocks(
    target: RowSet, compute: Compute, rows: np.ndarray, *, done: int, block: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Fill `rows` from `done` on, and yield `(start, rows of the block)` as each is computed."""
    for start in range(done, len(rows), block):
        stop = min(start + block, len(rows))
        part_rows = rows[start:stop]
        part_rows[...] = _checked(target, np.asarray(compute(start, stop)), start, stop)
        yield start, part_rows


def _append(file: io.FileIO, data: bytes | memoryview) -> None:
    """Write all of the data: a system call writes only as much as fits."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _continued(target: RowSet, part: io.BufferedRandom, rows: np.ndarray) -> int:
    """Fill `rows` from the part, cut it off at its first incomplete block, and count the rows."""
    part.seek(0)
    done = end = 0
    while len(head := part.read(SEAL.size)) == SEAL.size:
        size, digest = SEAL.unpack(head)
        part_rows = rows[done : done + size]
        if not 0 < size == len(part_rows) or part.readinto(_bytes(part_rows)) != part_rows.nbytes:
            break
        if target.digest(part_rows, start=done) != digest:
            break
        done, end = done + size, part.tell()
    part.truncate(end)
    return done


def _checked(target: RowSet, found: np.ndarray, start: int, stop: int) -> np.ndarray:
    expected = (stop - start, *target.shape[1:])
    if found.shape != expected or found.dtype != target.dtype:
        kinds = f"expected {target.dtype}{list(expected)}, found {found.dtype}{list(found.shape)}"
        raise ValueError(f"compute({start}, {stop}): {kinds}")
    finite = np.isfinite(found).reshape(len(found), -1).all(1)
    if not finite.all():
        row = f"{target.name}: row {start + int(finite.argmin())}"
        raise InputError(
            f"{target.path}: {row}: expected finite activations, found NaN or infinite"
        )
    return found


def _bytes(rows: np.ndarray) -> memoryview:
    return rows.reshape(-1).view(np.uint8).data  # bfloat16 has no buffer of its own
