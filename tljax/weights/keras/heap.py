"""Global heaps of an HDF5 file, which hold variable-length text: checked before HDF5 reads one.

HDF5 2.0 walks from object to object by the sizes that the file declares, and never ends where one
of them is 0 or wraps around (version 1 of the global heap, section III.E of the HDF5 File Format
Specification).
"""

import mmap
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from tljax.errors import InputError

if TYPE_CHECKING:
    import h5py

_SIGNATURE = b"GCOL\x01"
# Signature, version, reserved, size of the whole; as long as an object's: number, references, size.
_HEADER = 16
_SMALLEST = 4096  # bytes of a collection: the library itself refuses a smaller one


def check(path: Path, file: "h5py.File", *, unpacked: bytes | None = None) -> None:
    """Check that a collection's objects lead from its start to its end; InputError otherwise.

    `file` is the open `h5py.File` of the path, or of the bytes that were unpacked from it.
    """
    if file.id.get_create_plist().get_sizes()[1] != 8:
        raise InputError(f"{path}: expected an HDF5 file with lengths of 8 bytes")
    if unpacked is not None:
        _walk(path, unpacked)
        return
    with (
        path.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        _walk(path, content)


def _walk(path: Path, content: bytes | mmap.mmap) -> None:
    start = content.find(_SIGNATURE)
    while start >= 0:
        if len(content) - start >= _HEADER:
            (size,) = struct.unpack_from("<Q", content, start + 8)
            if _SMALLEST <= size <= len(content) - start and not _whole(
                content, start + _HEADER, start + size
            ):
                raise InputError(
                    f"{path}: expected a whole HDF5 file, found a heap of text that leads nowhere"
                )
        start = content.find(_SIGNATURE, start + 1)


def _whole(content: bytes | mmap.mmap, start: int, end: int) -> bool:
    while end - start >= _HEADER:
        number, _, size = struct.unpack_from("<HH4xQ", content, start)
        room = size if number == 0 else _HEADER + -(-size // 8) * 8  # free space (0) includes it
        if not _HEADER <= room <= end - start:
            return False
        start += room
    return True
