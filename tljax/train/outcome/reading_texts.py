"""Texts in any of the forms that people have them in -> batches of tokens."""

# pyright: strict
# pyright: reportUnknownArgumentType=false

import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tljax.data.folder import read_file
from tljax.data.text.sources import EXTENSIONS, decoded
from tljax.data.text.vocabulary import Vocabulary
from tljax.errors import InputError
from tljax.files.home import at_home
from tljax.train.outcome.reading import Reading


@dataclass(frozen=True)
class TextReading(Reading):
    """Read texts a batch at a time; `size` is the tokens of each."""

    size: int

    @property
    def none(self) -> np.ndarray:
        """Return a batch of no texts."""
        return np.zeros((0, self.size), np.int32)


def reading_texts(given: Any, *, vocabulary: Vocabulary, size: int) -> TextReading:
    """Name texts and say how each is read: `[T]` int32.

    A sentence, a path of a .txt file, a folder (all .txt files in it and below), a pattern of them,
    or a list of these. A sentence is its own name. InputError for a folder or pattern without
    texts, for a string that is the path of another file, and for anything else.
    """
    items: list[Any] = [given]
    if isinstance(given, Sequence) and not isinstance(given, str):
        items = list(given)
    each = [one for item in items for one in _expanded(item)]

    def read(place: int) -> np.ndarray:
        one = each[place]
        text = decoded(read_file(one), name=str(one)) if isinstance(one, Path) else one
        return vocabulary.padded(vocabulary.encode([text]), length=size)[0]

    return TextReading(tuple(str(one) for one in each), size, read)


def _expanded(item: Any) -> list[str | Path]:
    if not isinstance(item, str | Path):
        raise InputError(f"predict: expected texts or paths, found {type(item).__name__}")
    if isinstance(item, str) and not item.strip():
        raise InputError("predict: expected a text, found an empty one")
    named = isinstance(item, Path) or item.lower().endswith(EXTENSIONS)
    if isinstance(item, str) and not named and not _is(item, Path.is_dir):
        if _is(item, Path.is_file):
            raise InputError(f"{item}: expected a sentence or a .txt file, found another file")
        return [item]
    path = at_home(item)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.name.lower().endswith(EXTENSIONS))
        if not files:
            raise InputError(f"{path}: expected texts (*.txt), found none")
        return list(files)
    if glob.has_magic(str(path)) and not path.exists():
        names = sorted(glob.glob(str(path), recursive=True))
        if not names:
            raise InputError(f"{path}: expected texts of that pattern, found none")
        return [Path(name) for name in names]
    return [path]


def _is(text: str, kind: Callable[[Path], bool]) -> bool:
    """Tell whether a sentence is the path of something; one may be too long to be a path."""
    try:
        return len(text) < 4096 and kind(at_home(text))
    except (OSError, ValueError):
        return False
