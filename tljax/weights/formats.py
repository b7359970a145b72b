"""Formats of weights files, recognised by the first bytes and never by the name."""

import contextlib
import os
import zipfile
from pathlib import Path

from tljax.errors import InputError
from tljax.weights import safe, transformer
from tljax.weights.assemble import assemble
from tljax.weights.contents import Contents, Weights
from tljax.weights.keras import h5 as keras_h5
from tljax.weights.torch import pth as torch_pth
from tljax.weights.torch import safetensors as torch_safe

KINDS = "Keras HDF5 or .keras, torch .pth, or safetensors"
HDF5 = b"\x89HDF\r\n\x1a\n"


def read(path: str | Path) -> Weights:
    """Read and verify weights of any known format.

    Files of other libraries must be a whole base, with its top or without. InputError, one line,
    naming the file and the leaf, for anything else. Nothing in a file is ever executed, and nothing
    is read whose declared size exceeds what the file can hold.
    """
    path = Path(path)
    try:
        foreign = opened(path)
        if foreign is None:
            return safe.read(path)
        with foreign as contents:
            return assemble(path, contents)
    except (OSError, MemoryError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def opened(path: Path) -> contextlib.AbstractContextManager[Contents] | None:
    """Open a file of another library; None for our own safetensors.

    InputError for anything but a weights file.
    """
    if path.is_dir() and transformer.holds(os.listdir(path)):
        return transformer.opened(path)
    if not path.is_file():
        raise InputError(
            f"{path}: expected a weights file, found {'no file' if path.exists() else 'nothing'}"
        )
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(HDF5):
        return keras_h5.opened(path)
    if start.startswith(b"PK\x03\x04"):
        return _archive(path)
    if start.startswith(torch_pth.LEGACY):
        return torch_pth.opened(path)
    if start[8:9] == b"{":  # after the header's length
        return None if safe.is_ours(path) else torch_safe.opened(path)
    raise InputError(f"{path}: expected a weights file ({KINDS}), found {start[:16]!r}")


def _archive(path: Path) -> contextlib.AbstractContextManager[Contents]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception as error:  # zipfile raises half a dozen kinds for damage
        raise InputError(f"{path}: expected a whole archive (.keras or torch's): {error}") from None
    if keras_h5.MEMBER in names:
        return keras_h5.opened(path)
    if transformer.holds(names):
        return transformer.opened(path)
    if any(name.endswith("/data.pkl") for name in names):
        return torch_pth.opened(path)
    raise InputError(
        f"{path}: expected {keras_h5.MEMBER} or data.pkl in the archive, "
        f"found {', '.join(names)[:80]}"
    )
