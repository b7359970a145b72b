"""safetensors with torchvision's or timm's names, which torch users exchange."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tljax.errors import InputError
from tljax.files import disk
from tljax.weights import tensors
from tljax.weights.contents import Contents, Leaf, Weights, about, read_about
from tljax.weights.torch.checkpoint import chosen
from tljax.weights.torch.names import from_keras
from tljax.weights.vgg16 import in_order

NOTE = "tljax.about"  # metadata of ours, which torch ignores
DTYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """Open the leaves of a safetensors file with torch's names; InputError where it is damaged."""
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            note = (file.metadata() or {}).get(NOTE)
            leaves = {name: _leaf(file, name) for name in file.keys()}  # noqa: SIM118
            document = read_about(path, note) if note else {}
            yield chosen(path, {"": leaves}, kind="safetensors by torch's names", about=document)
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: expected a whole safetensors file: {str(error)[:200]}") from None


def write(path: str | Path, weights: Weights) -> None:
    """Write with torchvision's names, whole or not at all; InputError unless it is a VGG16.

    The parameters keep their preprocessing, which the file notes for tljax; torch itself
    preprocesses as its caller says.
    """
    path = Path(path)
    arrays = from_keras(in_order(path, weights))
    with disk.replacing(path) as part:
        tensors.save(arrays, part, metadata={NOTE: about(path, weights)})


def _leaf(file: Any, name: str) -> Leaf:
    declared = file.get_slice(name)
    dtype = str(declared.get_dtype())
    read: functools.partial[np.ndarray] = functools.partial(file.get_tensor, name)
    return Leaf(name, tuple(declared.get_shape()), DTYPES.get(dtype, dtype), read)
