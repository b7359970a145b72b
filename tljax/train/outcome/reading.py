"""Photographs in any of the forms that people have them in -> batches, decoded ahead on threads."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

import glob
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL.Image import Image, fromarray

from tljax.data import folder, photos
from tljax.data.photos import Size
from tljax.errors import InputError
from tljax.files.home import at_home

BATCH = 32
AHEAD = 2  # batches that are decoded while the network sees another

Photograph = str | Path | Image | np.ndarray | jax.Array
Photographs = Photograph | Sequence[Photograph]


@dataclass(frozen=True)
class Batch:
    """Hold some photographs: their places in the whole, images, and why others are missing."""

    places: tuple[int, ...]
    images: np.ndarray  # uint8 [n, size, size, 3], n at most BATCH
    unread: dict[int, str]  # place -> why it cannot be read


@dataclass(frozen=True)
class Reading:
    """Read photographs a batch at a time; each has a name, and a function that decodes it."""

    names: tuple[str, ...]
    size: Size
    read: Callable[[int], np.ndarray]  # place -> uint8 [size, size, 3]; InputError names it

    @property
    def none(self) -> np.ndarray:
        """Return a batch of no photographs."""
        return np.zeros((0, *photos.sides(self.size), 3), np.uint8)

    def batches(self, *, skip: bool) -> Iterator[Batch]:
        """Yield the batches in order, the next ones being decoded meanwhile, on a thread per core.

        InputError for one that cannot be read; with `skip` it is left out, with the reason.
        """
        starts = range(0, len(self.names), BATCH)
        with photos.pillow_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
            waiting: deque[dict[int, Future[np.ndarray]]] = deque()
            try:
                for start in starts:
                    places = range(start, min(start + BATCH, len(self.names)))
                    waiting.append({place: pool.submit(self.read, place) for place in places})
                    if len(waiting) > AHEAD:
                        yield self._batch(waiting.popleft(), skip=skip)
                while waiting:
                    yield self._batch(waiting.popleft(), skip=skip)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _batch(self, futures: dict[int, "Future[np.ndarray]"], *, skip: bool) -> Batch:
        read: dict[int, np.ndarray] = {}
        unread: dict[int, str] = {}
        for place, future in futures.items():
            try:
                read[place] = future.result()
            except InputError as error:
                if not skip:
                    raise
                unread[place] = str(error)
        images = np.stack(list(read.values())) if read else self.none
        return Batch(tuple(read), images, unread)


def reading(photographs: Photographs, *, size: Size) -> Reading:
    """Name photographs and say how each is read.

    A path, a folder (all photographs in it and below), a pattern such as "new/*.jpg", a Pillow
    image, an array uint8 `[H, W, 3]` of one or `[N, size, size, 3]` of many, or a list of these.
    Nothing is decoded yet. InputError for an array of another kind, and a folder or pattern without
    photographs.
    """
    given: list[Photograph] = []
    if isinstance(photographs, np.ndarray | jax.Array) and photographs.ndim == 4:
        images = _checked(np.asarray(photographs), size=size)
        return Reading(tuple(map(str, range(len(images)))), size, lambda i: images[i])
    if isinstance(photographs, Sequence) and not isinstance(photographs, str):
        given += photographs
    else:
        given.append(photographs)
    each = [photo for item in given for photo in _expanded(item)]
    names = tuple(
        str(photo) if isinstance(photo, Path) else str(place) for place, photo in enumerate(each)
    )
    for name, photo in zip(names, each, strict=True):
        if isinstance(photo, np.ndarray) and (photo.dtype != np.uint8 or photo.shape[2:] != (3,)):
            expected, found = "uint8 [H, W, 3]", f"{photo.dtype} {photo.shape}"
            raise InputError(f"predict: image {name}: expected {expected}, found {found}")
    return Reading(names, size, lambda i: _decoded(each[i], size=size))


def read_photos(paths: Sequence[str | Path], *, size: Size) -> np.ndarray:
    """Decode image files as uint8 `[N, size, size, 3]`; InputError names one that is unreadable."""
    images = [_decoded(Path(path), size=size) for path in paths]
    return np.stack(images) if images else np.zeros((0, *photos.sides(size), 3), np.uint8)


def _expanded(photo: Any) -> list[Any]:
    """Return the photographs that one item stands for: a folder's or a pattern's paths, or it."""
    if isinstance(photo, jax.Array):
        return [np.asarray(photo)]
    if not isinstance(photo, str | Path):
        if not isinstance(photo, np.ndarray | Image):
            found = type(photo).__name__
            raise InputError(f"predict: expected paths, Pillow images or arrays, found {found}")
        return [photo]
    path = at_home(photo)
    if path.is_dir():
        if paths := folder.all_photo_paths(path):
            return list(paths)
        kinds = " ".join(photos.EXTENSIONS)
        raise InputError(f"{path}: expected photographs ({kinds}), found none")
    if glob.has_magic(str(path)) and not path.exists():
        names = sorted(
            name
            for name in glob.glob(str(path), recursive=True)
            if name.lower().endswith(photos.EXTENSIONS)
        )
        if not names:
            raise InputError(f"{path}: expected photographs of that pattern, found none")
        return [Path(name) for name in names]
    return [path]


def _checked(images: np.ndarray, *, size: Size) -> np.ndarray:
    height, width = photos.sides(size)
    if images.dtype != np.uint8 or images.shape[1:] != (height, width, 3):
        expected, found = f"uint8 [N, {height}, {width}, 3]", f"{images.dtype} {images.shape}"
        raise InputError(f"predict: expected images {expected}, found {found}")
    return images


def _decoded(photo: Any, *, size: Size) -> np.ndarray:
    if isinstance(photo, np.ndarray):
        photo = fromarray(photo)
    if isinstance(photo, Image):
        return photos.square(photo, size=size)
    try:
        data = photo.read_bytes()
    except OSError as error:
        reason = error.strerror
        raise InputError(f"{photo}: expected a readable photograph: {reason}") from None
    return photos.decode(data, size=size, name=str(photo))
