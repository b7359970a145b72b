"""A cache of decoded photographs: uint8 arrays on disk, read as memory maps.

Each array is named by the hash of what it was made from.
"""

import concurrent.futures
import contextlib
import functools
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tljax import waiting
from tljax.data import photos
from tljax.data.photos import CorruptPhoto, Listing, Size
from tljax.errors import InputError
from tljax.files import lock
from tljax.files.home import ELSEWHERE
from tljax.files.home import default_folder as default_folder
from tljax.tree import Json

CHUNK = 256  # photographs in flight: bounds the memory for a set of any size

_WRITING = "writing-"  # prefix of the folders that writers work in

Rows = Iterable[np.ndarray | CorruptPhoto]  # each uint8 [H, W, C], or why there is none
Stored = tuple[np.ndarray, dict[int, str]]  # uint8 [N, H, W, C]; {index: reason} of the rest


def decoded(
    listing: Listing, *, size: Size, folder: pathlib.Path, progress: bool, name: str
) -> Stored:
    """Decode the listing's photographs in order, without the corrupt ones, or read them from cache.

    Returns the array, and the reason for each corrupt photograph by index.
    """
    import PIL

    made_from = [
        PIL.__version__,
        photos.DECODER,
        photos.formats(),
        photos.FILTER,
        size,
        *listing.digests,
    ]
    rows = functools.partial(decode_all, listing, size=size, progress=progress, name=name)
    shape = (len(listing.ids), *photos.sides(size), 3)
    return stored(made_from, rows, shape=shape, folder=folder)


def stored(
    made_from: list[Any],
    rows: Callable[[], Rows],
    *,
    shape: tuple[int, ...],
    folder: pathlib.Path,
) -> Stored:
    """Read the rows made from `made_from`, or write what `rows()` yields, `shape`, and read that.

    InputError where the bytes read back differ from those written.
    """
    stem = folder / hashlib.sha256(json.dumps(made_from).encode()).hexdigest()
    array = _read(stem, shape=shape)
    if array is None:
        _write(stem, rows(), shape=shape)
        array = _read(stem, shape=shape)
    if array is None:
        raise InputError(f"{stem}.npy: expected to read back what was written, found other bytes")
    return array


def decode_all(
    listing: Listing, *, size: Size, progress: bool, name: str
) -> Iterator[np.ndarray | CorruptPhoto]:
    """Decode the photographs in order, on one thread per core.

    Yields each image, or the CorruptPhoto that says why it cannot be decoded.
    """

    def one(i: int) -> np.ndarray | CorruptPhoto:
        data = listing.read(i)
        if photos.sha256(data) != listing.digests[i]:
            raise InputError(f"{listing.ids[i]}: changed while it was being read")
        try:
            return photos.decode(data, size=size, name=listing.ids[i])
        except CorruptPhoto as error:
            return error

    count = len(listing.ids)
    with (
        photos.pillow_warnings(),
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        waiting.bar(count, f"decode {name}", unit="photographs", shown=progress) as bar,
    ):
        for start in range(0, count, CHUNK):
            for row in pool.map(one, range(start, min(start + CHUNK, count))):
                yield row
                bar.update()


def _write(stem: pathlib.Path, rows: Rows, *, shape: tuple[int, ...]) -> None:
    """Stream the rows to `stem`.npy, then write `stem`.json, without which the array is ignored."""
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        with _scratch(stem.parent) as scratch:
            draft = scratch / "draft"
            meta = _write_rows(draft, rows, shape=shape)
            os.replace(draft, stem.with_suffix(".npy"))
            draft.write_text(json.dumps(meta))
            os.replace(draft, stem.with_suffix(".json"))
    except OSError as error:
        reason = f"the cache cannot be written ({error.strerror})"
        raise InputError(f"{stem.parent}: {reason}; {ELSEWHERE}") from None


@contextlib.contextmanager
def _scratch(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Make a folder to write in, locked while this process uses it.

    Folders of killed processes are removed. No other process looks between the making of a folder
    and its lock: both happen under the lock of the cache itself.
    """
    with contextlib.ExitStack() as until_the_end:
        with contextlib.ExitStack() as briefly:
            if _locked(folder, briefly, wait=True):
                _sweep(folder)
            scratch = until_the_end.enter_context(
                tempfile.TemporaryDirectory(dir=folder, prefix=_WRITING)
            )
            _locked(pathlib.Path(scratch), until_the_end, wait=True)
        yield pathlib.Path(scratch)


def _sweep(folder: pathlib.Path) -> None:
    """Remove the folders of writers that have ended: nobody holds their locks."""
    for abandoned in folder.glob(f"{_WRITING}*"):
        with contextlib.ExitStack() as briefly:
            if _locked(abandoned, briefly, wait=False):
                shutil.rmtree(abandoned, ignore_errors=True)


def _locked(folder: pathlib.Path, until: contextlib.ExitStack, *, wait: bool) -> bool:
    """Lock a folder until `until` ends.

    False where another process holds the lock, the folder is gone, or there are no locks here.
    """
    try:
        handle = lock.taken(folder, wait=wait)
    except OSError:
        return False
    if handle is not None:
        until.callback(os.close, handle)
    return handle is not None


def _write_rows(path: pathlib.Path, rows: Rows, *, shape: tuple[int, ...]) -> Json:
    """Write good rows first, with holes for the corrupt ones at the end.

    The good rows are then one contiguous view. The file is written, not memory-mapped: a full disk
    raises OSError, where a map would die of SIGBUS.
    """
    digest, good, corrupt = hashlib.sha256(), 0, {}
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for i, row in enumerate(rows):
            if isinstance(row, CorruptPhoto):
                corrupt[i] = str(row)
                continue
            data = row.tobytes()
            file.write(data)
            digest.update(data)
            good += 1
        file.truncate(file.tell() + (shape[0] - good) * shape[1] * shape[2] * shape[3])
    return {"sha256": digest.hexdigest(), "good": good, "corrupt": corrupt}


def _read(stem: pathlib.Path, *, shape: tuple[int, ...]) -> Stored | None:
    """Read the stored rows; None where they are missing or not whole. Every byte is checked."""
    try:
        meta = json.loads(stem.with_suffix(".json").read_text())
        array = np.lib.format.open_memmap(stem.with_suffix(".npy"), mode="r")
        good, corrupt = (
            int(meta["good"]),
            {int(i): str(reason) for i, reason in meta["corrupt"].items()},
        )
        expected = meta["sha256"]
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if array.shape != shape or array.dtype != np.uint8 or good + len(corrupt) != shape[0]:
        return None
    digest = hashlib.sha256()
    for start in range(0, good, CHUNK):
        digest.update(array[start : min(start + CHUNK, good)].data)
    return (array[:good], corrupt) if digest.hexdigest() == expected else None
