"""A file that appears whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tljax import disk


def save_tensors(tensors: dict[str, np.ndarray], path: Path, *, metadata: dict[str, str]) -> None:
    """A safetensors file; OSError where it cannot be written, which safetensors itself calls an error of its own."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:
        raise OSError(str(error)) from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` if nothing is raised, else it is removed.

    InputError for a disk that is full or cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with disk.refusal(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
