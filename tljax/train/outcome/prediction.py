"""Photographs to probabilities: read in batches, and the predictions of a classifier."""

# pyright: strict

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from tljax.data import folder, photos
from tljax.errors import InputError
from tljax.train.logits import two_sided

BATCH = 32
Photographs = str | Path | Sequence[str | Path] | np.ndarray | jax.Array


@dataclass(frozen=True, eq=False)
class Prediction:
    """Hold what a classifier predicts for photographs, in their order."""

    names: tuple[str, ...]  # the path of each, or its place in an array
    classes: tuple[str, ...]
    probabilities: np.ndarray  # float32 [N, classes]; the sum of a row is 1

    def top(self) -> list[tuple[str, float]]:
        """Give the most likely class of each photograph, and its probability."""
        best = self.probabilities.argmax(1)
        return [(self.classes[i], float(self.probabilities[n, i])) for n, i in enumerate(best)]

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        """Write a line for each photograph, its classes from the most likely on."""
        return "\n".join(map(self._line, self.names, self.probabilities))

    def _line(self, name: str, row: np.ndarray) -> str:
        ranked = sorted(zip(self.classes, row.tolist(), strict=True), key=lambda pair: -pair[1])
        return f"{name}: {', '.join(f'{label} {p:.1%}' for label, p in ranked)}"


@dataclass(frozen=True)
class Batches:
    """Iterate over images uint8 `[n, size, size, 3]`, at most BATCH at a time; name each."""

    names: tuple[str, ...]
    read: Callable[[slice], np.ndarray]

    def __iter__(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self.names), BATCH):
            yield self.read(slice(start, start + BATCH))


def batches(photographs: Photographs, *, size: int) -> Batches:
    """Name and batch image files, all those in a folder and below, or an array of images.

    Nothing is decoded yet. InputError for an array that is not uint8 `[N, size, size, 3]`, a folder
    without photographs, and a path that does not exist.
    """
    if isinstance(photographs, np.ndarray | jax.Array):
        images = _checked(np.asarray(photographs), size=size)
        return Batches(tuple(map(str, range(len(images)))), lambda part: images[part])
    paths = _paths(photographs)
    return Batches(tuple(map(str, paths)), lambda part: read_photos(paths[part], size=size))


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Turn logits `[N, outputs]` into probabilities float32 `[N, classes]`."""
    both = two_sided(logits).astype(np.float64)
    return np.exp(both - np.logaddexp.reduce(both, axis=1, keepdims=True)).astype(np.float32)


def padded(images: np.ndarray) -> np.ndarray:
    """Fill a batch up with zeros: one compilation, however many images."""
    return np.pad(images, [(0, BATCH - len(images)), (0, 0), (0, 0), (0, 0)])


def read_photos(paths: Sequence[str | Path], *, size: int) -> np.ndarray:
    """Decode image files as uint8 `[N, size, size, 3]`; InputError names one that is unreadable."""
    images = [_decoded(Path(path), size=size) for path in paths]
    return np.stack(images) if images else np.zeros((0, size, size, 3), np.uint8)


def _paths(photographs: str | Path | Sequence[str | Path]) -> list[Path]:
    if not isinstance(photographs, str | Path):
        return [Path(path) for path in photographs]
    path = Path(photographs).expanduser()
    if not path.is_dir():
        return [path]
    if not (paths := folder.all_photo_paths(path)):
        kinds = " ".join(photos.EXTENSIONS)
        raise InputError(f"{path}: expected photographs ({kinds}), found none")
    return paths


def _checked(images: np.ndarray, *, size: int) -> np.ndarray:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (size, size, 3):
        expected, found = f"uint8 [N, {size}, {size}, 3]", f"{images.dtype} {images.shape}"
        raise InputError(f"predict: expected images {expected}, found {found}")
    return images


def _decoded(path: Path, *, size: int) -> np.ndarray:
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror
        raise InputError(f"{path}: expected a readable photograph: {reason}") from None
    return photos.decode(data, size=size, name=str(path))
