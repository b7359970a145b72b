"""A folder or a zip of a transformer of texts: model.safetensors with tokenizer.json beside it."""

import contextlib
import dataclasses
import functools
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tljax.data.text import vocabulary
from tljax.errors import InputError
from tljax.weights.contents import Contents, Leaf
from tljax.weights.torch.checkpoint import chosen

MODEL, TOKENIZER = "model.safetensors", "tokenizer.json"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """Open the leaves and the vocabulary; InputError names the file that is missing or damaged."""
    import safetensors
    from safetensors import numpy

    try:
        tensors = numpy.load(_bytes(path, MODEL))
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{path}: {MODEL}: expected a whole safetensors file: {str(error)[:200]}"
        ) from None
    leaves = {name: _leaf(name, array) for name, array in tensors.items()}
    contents = chosen(path, {"": leaves}, kind="safetensors by transformers' names")
    words = vocabulary.read(_bytes(path, TOKENIZER), where=f"{path}: {TOKENIZER}")
    yield dataclasses.replace(contents, preprocess=words)


def holds(names: list[str]) -> bool:
    """Tell from the names in an archive whether it is one of these."""
    return MODEL in names


def _leaf(name: str, array: np.ndarray) -> Leaf:
    return Leaf(name, array.shape, array.dtype.name, functools.partial(np.asarray, array))


def _bytes(path: Path, name: str) -> bytes:
    """Read a file of the folder or zip; InputError where it is missing or damaged."""
    try:
        if path.is_dir():
            return (path / name).read_bytes()
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(name).file_size > _most(path):
                raise InputError(f"{path}: {name}: expected at most {_most(path)} bytes")
            return archive.read(name)
    except InputError:
        raise
    except (OSError, KeyError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not in the archive"
        raise InputError(f"{path}: expected {name} in it, found none: {reason}") from None
    except Exception as error:  # zipfile raises half a dozen kinds for damage
        raise InputError(f"{path}: {name}: expected whole data: {error}") from None


def _most(path: Path) -> int:
    """Return the most bytes that a member of the archive may unpack to: weights hardly shrink."""
    return 4 * path.stat().st_size + (1 << 20)
