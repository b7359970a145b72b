"""Arrays in NumPy's .npz format: written whole, and read without trusting the file."""

# pyright: strict

import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tljax.errors import InputError
from tljax.files import disk

_KINDS = {"f": "floats", "i": "integers", "u": "unsigned integers", "U": "text"}
MAX_SWOLLEN = 64 << 20  # bytes a compressed array may unpack to; any other fits in the file
# What np.save writes before numbers and text: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
_HEADER = re.compile(
    rb"\x93NUMPY\x01\0..\{'descr': '([<|][biufU]\d{1,6})', "
    rb"'fortran_order': (False|True), 'shape': \(([\d, ]{0,60})\), \} *\n",
    re.DOTALL,
)


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write numbers and text uncompressed, whole or not at all, the same bytes each time.

    InputError for a disk that is full or cannot be written.
    """
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.save(file, np.asarray(array), allow_pickle=False)
    return disk.write(path, data.getvalue())


def read(path: Path, kinds: Mapping[str, str] | None = None) -> dict[str, np.ndarray]:
    """Read arrays, read-only: those named in `kinds`, or all.

    `kinds` maps each name to the kind of its NumPy dtype and its number of dimensions, as in "f2",
    or to "" where the caller checks it.
    InputError, in one line, for a damaged file or other contents.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = kinds or [name.removesuffix(".npy") for name in archive.namelist()]
            arrays = {name: _array(_bytes(archive, f"{name}.npy")) for name in names}
    # RuntimeError: encrypted, or an unknown compression.
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        what = f" with {', '.join(kinds)}" if kinds else ""
        raise InputError(
            f"{path}: expected an .npz{what}: {' '.join(str(error).split())[:200]}"
        ) from None
    for name, kind in (kinds or {}).items():
        array = arrays[name]
        if kind and f"{array.dtype.kind}{array.ndim}" != kind:
            expected = f"{_KINDS[kind[0]]} of {kind[1:]} dimensions"
            raise InputError(
                f"{path}: {name}: expected {expected}, found {array.dtype} {list(array.shape)}"
            )
    return arrays


def _bytes(archive: zipfile.ZipFile, name: str) -> bytes:
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED and member.file_size > MAX_SWOLLEN:
        raise ValueError(f"{name} unpacks to {member.file_size} bytes")
    with archive.open(member) as file:
        return file.read()


def _array(data: bytes) -> np.ndarray:
    header = _HEADER.match(data)
    if not header:
        raise ValueError(f"no array of numbers or text begins with {data[:80]!r}")
    kind, fortran, sides = header.groups()
    try:
        dtype = np.dtype(kind.decode())
    except TypeError:
        raise ValueError(f"no dtype {kind!r}") from None
    shape = tuple(int(side) for side in sides.split(b",") if side.strip())
    if math.prod(shape) * dtype.itemsize != len(data) - header.end() or (
        not dtype.itemsize and math.prod(shape)
    ):
        raise ValueError(f"{len(data) - header.end()} bytes for {dtype} {list(shape)}")
    array = np.ndarray(
        shape, dtype, buffer=data, offset=header.end(), order="F" if fortran == b"True" else "C"
    )
    if dtype.kind == "U" and array.size:
        points = np.frombuffer(data, "<u4", offset=header.end())
        if points.max() > 0x10FFFF:
            raise ValueError("text that is no Unicode")
    return array
