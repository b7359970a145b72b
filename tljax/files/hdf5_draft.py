"""A file object for HDF5 that remembers a full disk, which HDF5 itself would not survive.

HDF5 keeps what it could not write, tries again when the file is closed, and again when the process
ends: the second failure loses the reason of the first, the third is a segmentation fault.
"""

# pyright: strict

import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class Draft(io.RawIOBase):
    """The file at `path`, for `h5py.File(Draft(path), ...)`.

    Closing it raises the first write error. After a failed write no other is tried: HDF5 is made to
    believe that all is well, and closes its file without error.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "r+b" if path.exists() else "w+b", buffering=0)  # noqa: SIM115
        self._failed: OSError | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        return self._file.readinto(buffer)

    def write(self, data: "ReadableBuffer") -> int:
        """Write all of the data, or remember the error; returns its size in either case."""
        rest = memoryview(data).cast("B")
        size = rest.nbytes
        try:
            while rest and self._failed is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._failed = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Cut the file off, or remember the error; returns its size."""
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._failed = self._failed or error
            return self._file.tell() if size is None else size

    def close(self) -> None:
        """Close the file and raise the first OSError of a write."""
        if not self.closed:
            self._file.close()
            super().close()
            if self._failed is not None:
                raise self._failed
