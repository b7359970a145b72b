"""torch's pickled tensors, read without torch.

An allow-list holds all names that a pickle may use; none of them does anything.
"""

import collections
import dataclasses
import io
import math
import mmap
import pickle
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from tljax.errors import InputError

# Little-endian, as torch writes on every machine it still supports.
STORAGES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    # Batch normalisation's counts of batches: a message can then name such a VGG16.
    "LongStorage": np.dtype("<i8"),
}


@dataclasses.dataclass(frozen=True)
class Storage:
    """A flat array of numbers elsewhere in the file."""

    key: str
    dtype: np.dtype
    count: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A view into a storage, counted in numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


Stream = io.BytesIO | mmap.mmap


def load(path: Path, stream: Stream) -> tuple[object, dict[str, Storage]]:
    """Unpickle one object from `stream`; return it with the storages that it names, by key.

    The reads of `stream` must not allocate more than it has (an mmap's do not, a file's do).
    InputError naming what the pickle asks for beyond tensors and containers; nothing that it asks
    for is imported.
    """
    reader = _Reader(path, stream)
    try:
        return reader.load(), reader.storages
    except InputError:
        raise
    except Exception as error:  # bytes that are not a pickle can raise anything
        raise InputError(f"{path}: expected torch's pickle, found damage: {_line(error)}") from None


# Python's own, not C's, which would allocate what a length or memo index in the file claims.
class _Reader(pickle._Unpickler):  # pyright: ignore[reportAttributeAccessIssue]
    def __init__(self, path: Path, stream: Stream):
        super().__init__(stream)
        self._path = path
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        # A new function each time: a pickle could set attributes of one that is shared.
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *args: _tensor(*args)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *rest: tensor
        name = f"{module}.{name}"[:80]
        raise InputError(
            f"{self._path}: expected tensors only, found a pickle that asks for {name!r}; refused"
        )

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, _device, count, *view = pid
        if (
            kind != "storage"
            or not isinstance(dtype, np.dtype)
            or any(part is not None for part in view)
        ):
            raise ValueError(f"persistent id {kind!r}")
        storage = Storage(str(key), dtype, _size(count))
        if self.storages.setdefault(storage.key, storage) != storage:
            raise ValueError(f"two storages {key!r}")
        return storage


def tensors(path: Path, state: object) -> dict[str, Tensor]:
    """Return the tensors of a state dict, or of a checkpoint's `state_dict`.

    InputError for anything else, and for a tensor that leaves its storage.
    """
    if isinstance(state, dict) and isinstance(dict.get(state, "state_dict"), dict):
        state = dict.get(state, "state_dict")
    if not isinstance(state, dict):
        raise InputError(f"{path}: expected a state dict, found {type(state).__name__}")
    for name, value in dict.items(state):
        if not isinstance(name, str) or not isinstance(value, Tensor):
            problem = f"{str(name)[:80]}: expected a tensor, found {type(value).__name__}"
            raise InputError(f"{path}: {problem}")
        last = sum(
            (size - 1) * stride for size, stride in zip(value.shape, value.strides, strict=True)
        )
        if (
            math.prod(value.shape) > value.storage.count
            or value.offset + last >= value.storage.count
        ):
            extent = f"{list(value.shape)} with strides {list(value.strides)} from {value.offset}"
            raise InputError(
                f"{path}: leaf {name}: {extent} leaves its storage of {value.storage.count} numbers"
            )
    return dict(dict.items(state))


def view(tensor: Tensor, numbers: np.ndarray) -> np.ndarray:
    """View the tensor in its storage's `numbers`, within the bounds that `tensors` has checked."""
    # The stride of an axis of length one is never used, and may be any number.
    axes = zip(tensor.shape, tensor.strides, strict=True)
    strides = [stride * numbers.itemsize if size > 1 else 0 for size, stride in axes]
    return np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.shape, strides, writeable=False
    )


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Tensor:
    if not isinstance(storage, Storage) or len(shape) != len(strides):
        raise ValueError("a tensor without a storage")
    return Tensor(storage, _size(offset), tuple(map(_size, shape)), tuple(map(_size, strides)))


def _size(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"expected a size, found {value!r}"[:80])
    return value


def _line(error: Exception) -> str:
    return f"{type(error).__name__} {' '.join(str(error).split())}"[:160]
