"""torch's `.pth` without torch, in both containers: today's zip and the older series of pickles.

The state dict has torchvision's or timm's names. Arrays are views into the mapped file until they
are read.
"""

import contextlib
import io
import mmap
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tljax.errors import InputError
from tljax.weights.contents import Contents, Leaf
from tljax.weights.torch import pickle as torch_pickle
from tljax.weights.torch.checkpoint import chosen
from tljax.weights.torch.pickle import Storage, Tensor

MAGIC = 0x1950A86A20F9469CFC6C
LEGACY = b"\x80\x02\x8a\x0a" + MAGIC.to_bytes(10, "little") + b"."  # the older container begins so
PROTOCOL = 1001
Numbers = Callable[[Storage], np.ndarray]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """Open the leaves of a state dict, alone or under a key of what a training script saved.

    InputError where the file is damaged, or no state dict in it is of a base.
    """
    with path.open("rb") as file, contextlib.ExitStack() as stack:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if content[: len(LEGACY)] == LEGACY:
            state, numbers = _legacy(path, content)
        else:
            try:
                archive = stack.enter_context(zipfile.ZipFile(file))
            except zipfile.BadZipFile as error:
                raise InputError(f"{path}: expected a whole torch archive: {error}") from None
            state, numbers = _zipped(path, archive)
        dicts = {
            key: {name: _leaf(name, tensor, numbers) for name, tensor in tensors.items()}
            for key, tensors in torch_pickle.state_dicts(path, state).items()
        }
        yield chosen(path, dicts, kind="torch state dict")


def _leaf(name: str, tensor: Tensor, numbers: Numbers) -> Leaf:
    def read() -> np.ndarray:
        # A copy, because the mapped file is closed afterwards.
        return torch_pickle.view(tensor, numbers(tensor.storage)).copy()

    return Leaf(name, tensor.shape, tensor.storage.dtype.name, read)


def _zipped(path: Path, archive: zipfile.ZipFile) -> tuple[object, Numbers]:
    """Open a zip: `ROOT/data.pkl` is the state dict, `ROOT/data/KEY` a storage."""
    sizes = {info.filename: info.file_size for info in archive.infolist()}
    pickled = next((name for name in sizes if name.endswith("/data.pkl")), "/data.pkl")
    root = pickled.removesuffix("/data.pkl")

    def member(name: str, size: int) -> bytes:
        """Read a member and check its CRC.

        One that would unpack to more than the file's own size is refused unread.
        """
        if sizes.get(name, -1) != size or size > path.stat().st_size:
            raise InputError(
                f"{path}: {name[:80]}: expected {size} bytes, found {sizes.get(name, 'none')}"
            )
        try:
            return archive.read(name)
        except Exception as error:  # zipfile raises half a dozen kinds for damage
            raise InputError(f"{path}: {name[:80]}: expected whole data: {error}") from None

    if f"{root}/byteorder" in sizes and member(f"{root}/byteorder", 6) != b"little":
        raise InputError(f"{path}: expected little-endian tensors")
    state, _ = torch_pickle.load(path, io.BytesIO(member(pickled, sizes.get(pickled, 0))))

    def numbers(storage: Storage) -> np.ndarray:
        name = f"{root}/data/{storage.key}"
        return np.frombuffer(member(name, storage.count * storage.dtype.itemsize), storage.dtype)

    return state, numbers


def _legacy(path: Path, content: mmap.mmap) -> tuple[object, Numbers]:
    """Open the older container: five pickles, then for each key a count and its numbers.

    The pickles are magic, protocol, system, state dict and keys.
    """
    objects = [torch_pickle.load(path, content) for _ in range(5)]
    _magic, protocol, system, state, keys = (thing for thing, _ in objects)
    storages = objects[3][1]
    little = isinstance(system, dict) and system.get("little_endian") is True
    if protocol != PROTOCOL or not little or not isinstance(keys, list):
        raise InputError(
            f"{path}: expected protocol {PROTOCOL} and little-endian tensors, "
            f"found {protocol!r:.20}"
        )
    starts, position = {}, content.tell()
    for key in keys:
        if key not in storages:
            raise InputError(
                f"{path}: storage {key!r:.40}: expected one of the tensors', found another"
            )
        size = storages[key].count * storages[key].dtype.itemsize
        count = int.from_bytes(content[position : position + 8], "little")
        if count != storages[key].count or position + 8 + size > len(content):
            present = f"{count} with {len(content) - position - 8} bytes left"
            raise InputError(
                f"{path}: storage {key!r:.40}: expected {storages[key].count} numbers, "
                f"found {present}"
            )
        starts[key] = position + 8
        position += 8 + size

    def numbers(storage: Storage) -> np.ndarray:
        if storage.key not in starts:
            raise InputError(
                f"{path}: storage {storage.key[:40]!r}: expected its numbers, found none"
            )
        return np.frombuffer(content, storage.dtype, storage.count, starts[storage.key])

    return state, numbers
