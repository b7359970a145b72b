"""torch's pickled tensors, read without torch.

A pickle's names are never imported. Those of tensors and containers have a reader here; any other,
as of the options and the optimizer that a training script saves beside its state dict, becomes an
object that holds nothing and does nothing.
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
    # Batch normalisation's counts of batches, masks, and the states of generators.
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
# What no data asks for. Nothing of any module runs; a file that asks for these is refused by name.
HOSTILE = {"os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "pty", "runpy", "code"}
HOSTILE |= {"importlib", "ctypes", "webbrowser", "pickle", "io", "_io"}
HOSTILE |= {f"builtins.{name}" for name in ("eval", "exec", "compile", "open", "__import__")}
DEPTH = 3  # of the keys under which a state dict may lie


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


class Inert:
    """Stand for an object of a class that is not known here; holds nothing, does nothing."""

    asked = ""  # its class, as the pickle names it

    def __new__(cls, *args: Any, **kwargs: Any) -> "Inert":
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """Hold nothing."""

    def extend(self, items: Any) -> None:
        """Hold nothing."""

    def add(self, item: Any) -> None:
        """Hold nothing."""


Stream = io.BytesIO | mmap.mmap


def load(path: Path, stream: Stream) -> tuple[object, dict[str, Storage]]:
    """Unpickle one object from `stream`; return it with the storages that it names, by key.

    The reads of `stream` must not allocate more than it has (an mmap's do not, a file's do).
    Objects of other classes than tensors and containers are `Inert`. InputError naming what the
    pickle asks for where that is no data; nothing that it asks for is imported.
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
        asked = f"{module}.{name}"[:80]
        plain = asked.replace("__builtin__.", "builtins.")  # as protocol 2 spells it
        unknown = module == "torch" and name.endswith("Storage")
        if unknown or module.split(".")[0] in HOSTILE or plain in HOSTILE:
            raise InputError(
                f"{self._path}: expected tensors, found a pickle that asks for {asked!r}; refused"
            )
        return type("Inert", (Inert,), {"asked": asked})

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "module":  # a class, in the older container, beside its source code
            return pid[1]
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


def state_dicts(path: Path, state: object) -> dict[str, dict[str, Tensor]]:
    """Find the state dicts of a checkpoint by the key that each lies under: "" is the whole.

    What lies beside the tensors of one is left out. InputError where there is none, and for a
    tensor that leaves its storage.
    """
    found: dict[str, dict[str, Tensor]] = {}
    level: list[tuple[str, object]] = [("", state)]
    seen: set[int] = set()
    for _ in range(DEPTH):
        below: list[tuple[str, object]] = []
        for key, value in level:
            if not isinstance(value, dict) or id(value) in seen:
                continue
            seen.add(id(value))
            named = [(k, v) for k, v in dict.items(value) if isinstance(k, str)]
            if tensors := {k: v for k, v in named if isinstance(v, Tensor)}:
                for name, tensor in tensors.items():
                    _check(path, name, tensor)
                found[key] = tensors
            below += [(f"{key}.{k}" if key else k, v) for k, v in named if isinstance(v, dict)]
        level = below
    if not found:
        raise InputError(f"{path}: expected a state dict, found {_described(state)}")
    return found


def _described(state: object) -> str:
    if isinstance(state, Inert):
        return f"an object of {state.asked}: save its state_dict() instead"
    if isinstance(state, dict):
        kinds = {str(key)[:40]: _described_value(value) for key, value in dict.items(state)}
        return ", ".join(f"{key}: {kind}" for key, kind in list(kinds.items())[:6]) or "nothing"
    return type(state).__name__


def _described_value(value: object) -> str:
    return value.asked if isinstance(value, Inert) else type(value).__name__


def _check(path: Path, name: str, tensor: Tensor) -> None:
    """Refuse a tensor that leaves its storage, by an InputError."""
    count, steps = tensor.storage.count, zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((size - 1) * stride for size, stride in steps)
    if 0 not in tensor.shape and (math.prod(tensor.shape) > count or last >= count):
        extent = f"{list(tensor.shape)} with strides {list(tensor.strides)} from {tensor.offset}"
        raise InputError(f"{path}: leaf {name}: {extent} leaves its storage of {count} numbers")


def view(tensor: Tensor, numbers: np.ndarray) -> np.ndarray:
    """View the tensor in its storage's `numbers`, within the bounds that `state_dicts` checks."""
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
