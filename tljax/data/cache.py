"""Photographs decoded once: a uint8 array on disk, named by what it was made from, read as a memory map."""

import concurrent.futures
import contextlib
import fcntl
import functools
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from tqdm import tqdm

from tljax.data import photos
from tljax.data.photos import CorruptPhoto, Listing
from tljax.errors import InputError

CHUNK = 256  # photographs in flight: bounds the memory, whatever the size of the set

_WRITING = "writing-"  # how the folders begin that writers work in

Rows = Iterable[np.ndarray | CorruptPhoto]  # uint8 [size, size, 3] each, or why there is none
Stored = tuple[np.ndarray, dict[int, str]]  # uint8 [N, size, size, 3] memory map; {index: reason} of the rest


def default_folder() -> pathlib.Path:
    """`$XDG_CACHE_HOME/tljax`, or `~/.cache/tljax`."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "tljax"


def decoded(listing: Listing, *, size: int, folder: pathlib.Path, progress: bool, name: str) -> Stored:
    """The listing's photographs in order, without the corrupt ones, and which those are."""
    import PIL

    made_from = [PIL.__version__, photos.DECODER, photos.FILTER, size, *listing.digests]
    rows = functools.partial(decode_all, listing, size=size, progress=progress, name=name)
    return stored(made_from, rows, count=len(listing.ids), size=size, folder=folder)


def stored(made_from: list, rows: Callable[[], Rows], *, count: int, size: int, folder: pathlib.Path) -> Stored:
    """What `rows()` yields: read if the cache holds what was made from `made_from`, else made and written."""
    stem = folder / hashlib.sha256(json.dumps(made_from).encode()).hexdigest()
    found = _read(stem, count=count, size=size)
    if found is None:
        _write(stem, rows(), count=count, size=size)
        found = _read(stem, count=count, size=size)
    if found is None:
        raise InputError(f"{stem}.npy: expected to read back what was written, found other bytes")
    return found


def decode_all(listing: Listing, *, size: int, progress: bool, name: str) -> Iterator[np.ndarray | CorruptPhoto]:
    """Each photograph decoded, or why it cannot be, in order; on a thread for each core."""

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
        tqdm(total=count, desc=f"decode {name}", unit="img", disable=not progress) as bar,
    ):
        for start in range(0, count, CHUNK):
            for row in pool.map(one, range(start, min(start + CHUNK, count))):
                yield row
                bar.update()


def _write(stem: pathlib.Path, rows: Rows, *, count: int, size: int) -> None:
    """Streams the rows to `stem`.npy, then writes `stem`.json, without which the array does not count."""
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        with _scratch(stem.parent) as scratch:
            draft = scratch / "draft"
            meta = _write_rows(draft, rows, shape=(count, size, size, 3))
            os.replace(draft, stem.with_suffix(".npy"))
            draft.write_text(json.dumps(meta))
            os.replace(draft, stem.with_suffix(".json"))
    except OSError as error:
        raise InputError(f"{stem.parent}: the cache cannot be written ({error.strerror})") from None


@contextlib.contextmanager
def _scratch(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder to write in, locked for as long as this process has it; those of killed processes are removed.

    Nobody looks between the making of one and its lock: both happen under the lock of the cache itself.
    """
    with contextlib.ExitStack() as until_the_end:
        with contextlib.ExitStack() as briefly:
            if _locked(folder, briefly, fcntl.LOCK_EX):
                _sweep(folder)
            made = until_the_end.enter_context(tempfile.TemporaryDirectory(dir=folder, prefix=_WRITING))
            _locked(pathlib.Path(made), until_the_end, fcntl.LOCK_EX)
        yield pathlib.Path(made)


def _sweep(folder: pathlib.Path) -> None:
    """Remove what writers left who are no more: nobody holds its lock."""
    for left in folder.glob(f"{_WRITING}*"):
        with contextlib.ExitStack() as briefly:
            if _locked(left, briefly, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(left, ignore_errors=True)


def _locked(folder: pathlib.Path, until: contextlib.ExitStack, how: int) -> bool:
    """Lock a folder until `until` ends; False where another has it, it is gone, or there are no locks here."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        until.callback(os.close, handle)
        fcntl.flock(handle, how)
    except OSError:
        return False
    return True


def _write_rows(path: pathlib.Path, rows: Rows, *, shape: tuple[int, ...]) -> dict:
    """Good rows first, holes for the corrupt ones at the end: the good ones are one contiguous view.

    Written, not memory-mapped: a full disk is then an OSError, where a map dies of SIGBUS.
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


def _read(stem: pathlib.Path, *, count: int, size: int) -> Stored | None:
    """The stored rows, or None where there are none, or not whole: every byte is checked."""
    try:
        meta = json.loads(stem.with_suffix(".json").read_text())
        array = np.lib.format.open_memmap(stem.with_suffix(".npy"), mode="r")
        good, corrupt = int(meta["good"]), {int(i): str(reason) for i, reason in meta["corrupt"].items()}
        expected = meta["sha256"]
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if array.shape != (count, size, size, 3) or array.dtype != np.uint8 or good + len(corrupt) != count:
        return None
    digest = hashlib.sha256()
    for start in range(0, good, CHUNK):
        digest.update(array[start : min(start + CHUNK, good)].data)
    return (array[:good], corrupt) if digest.hexdigest() == expected else None
