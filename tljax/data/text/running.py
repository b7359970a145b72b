"""Running text, without labels: one array of tokens to learn the next one from."""

import hashlib
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tljax.data import folder
from tljax.data.text import docstrings, sources
from tljax.data.text.vocabulary import Vocabulary, trained
from tljax.errors import InputError
from tljax.files.home import at_home

HELD_OUT = 0.05  # of the documents, for validation
VOCABULARY = 4000  # tokens of a vocabulary that is trained here
KINDS = "text:PATH, a folder or file of .txt files or a CSV file, or stdlib:source"


@dataclass(frozen=True, eq=False)
class Running:
    """Hold running text as tokens: int32 `[n]` to train on, and held out."""

    name: str
    vocabulary: Vocabulary
    train: np.ndarray
    validation: np.ndarray

    @property
    def digest(self) -> str:
        """Digest vocabulary and tokens: sha256 in hex."""
        parts = (self.vocabulary.text.encode(), self.train.tobytes(), self.validation.tobytes())
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def counts(self) -> str:
        """Describe the text in one line."""
        pair = f"{len(self.train):,} tokens to train on, {len(self.validation):,} held out"
        return f"{self.name}: {pair}; {self.vocabulary!r}"

    def windows(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Cut both parts into windows: training `[N, 2 length]`, validation `[M, length + 1]`.

        A training window begins at each multiple of `length`, and holds the text of every window of
        `length` tokens and their next ones that begins in that stretch. InputError for less text
        than one of each.
        """
        least = 2 * length, length + 1
        for part, fewest in zip((self.train, self.validation), least, strict=True):
            if len(part) < fewest:
                raise InputError(
                    f"{self.name}: expected {fewest} tokens or more for windows of {length}, "
                    f"found {len(part)}"
                )
        views = np.lib.stride_tricks.sliding_window_view
        return (
            np.ascontiguousarray(views(self.train, 2 * length)[::length]),
            np.ascontiguousarray(views(self.validation, length + 1)[::length]),
        )


def load(source: str, *, vocabulary: Vocabulary | None = None, progress: bool = True) -> Running:
    """Load `stdlib:source`, or the text of `text:PATH`; a path stands for itself.

    A folder's .txt files are read in order, those of folders below it too, and the rows of a CSV
    file that are not of its test split. Documents are held out by their bytes. Without a vocabulary
    a byte-pair one is trained on the rest.
    """
    texts = docstrings.running() if source == docstrings.SOURCE else _texts(source)
    held = [int(hashlib.sha256(text.encode()).hexdigest(), 16) % 1000 for text in texts]
    parts = [
        [text for text, place in zip(texts, held, strict=True) if (place < 1000 * HELD_OUT) is side]
        for side in (False, True)
    ]
    if not all(parts):
        raise InputError(
            f"{source}: expected a hundred documents or paragraphs, found {len(texts)}"
        )
    vocabulary = vocabulary or trained(parts[0], size=VOCABULARY)
    train, validation = (_joined(vocabulary.encode(part)) for part in parts)
    del progress
    return Running(source, vocabulary, train, validation)


def _joined(rows: Sequence[Sequence[int]]) -> np.ndarray:
    return np.array([token for row in rows for token in row], np.int32)


def _texts(source: str) -> list[str]:
    kind, _, where = source.partition(":")
    path = at_home(where if kind in ("text", "folder", "csv") and where else source)
    if path.suffix.lower() in (".csv", ".tsv") and path.is_file():
        found = sources.of_table(path)
        return [
            t
            for split, each in found.listings.items()
            if split != "test"
            for t in sources.read(each)
        ]
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path] if path.is_file() else []
    if not files:
        raise InputError(f"source of running text: expected {KINDS}, found {source!r}")
    texts = []
    for file in files:
        whole = sources.decoded(folder.read_file(file), name=str(file))
        # Paragraphs, so that a single long file can be divided; their order is kept.
        texts += [each for each in whole.split("\n\n") if each.strip()]
    return texts
