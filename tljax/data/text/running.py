"""Running text, without labels: one array of tokens to learn the next one from."""

import hashlib
import pathlib
from collections.abc import Sequence

import numpy as np

from tljax.data import folder
from tljax.data.text import docstrings, sources
from tljax.data.text.sets import TextSet, TextSets
from tljax.data.text.vocabulary import Vocabulary, trained
from tljax.errors import InputError
from tljax.files.home import at_home
from tljax.tasks.language import Language

HELD_OUT = 0.05  # of the documents, for validation
NEXT = "next token"  # what a label tells of
_NONE = np.zeros(0, np.int32)
VOCABULARY = 4000  # tokens of a vocabulary that is trained here
KINDS = "text:PATH, a folder or file of .txt files or a CSV file, or stdlib:source"


def load(
    source: str, *, size: int, vocabulary: Vocabulary | None = None, seed: int = 0
) -> TextSets:
    """Load `stdlib:source`, or the text of `text:PATH`, as windows of `size` tokens.

    A path stands for itself. A folder's .txt files are read in order, those of folders below it
    too, and the rows of a CSV file; what is of a test split is not. A twentieth of the documents or
    paragraphs is held out, by their bytes and the seed. Without a vocabulary a byte-pair one is
    trained on the rest. InputError for less text than a window of each.
    """
    texts = texts_of(source)
    held = [_place(text, seed) < HELD_OUT for text in texts]
    train = [text for text, out in zip(texts, held, strict=True) if not out]
    vocabulary = vocabulary or trained(train, size=VOCABULARY)
    validation = [text for text, out in zip(texts, held, strict=True) if out]
    parts = [_joined(vocabulary.encode(part)) if part else _NONE for part in (train, validation)]
    for part, least in zip(parts, (2 * size, size + 1), strict=True):
        if len(part) < least:
            expected = f"{least} tokens or more, for windows of {size}"
            raise InputError(f"{source}: expected {expected}, found {len(part)}")
    task = Language(vocabulary=vocabulary.size)
    views = np.lib.stride_tricks.sliding_window_view
    # Each holds the text of all windows that begin in a stretch of `size` tokens.
    wide = np.ascontiguousarray(views(parts[0], 2 * size)[::size])
    plain = np.ascontiguousarray(views(parts[1], size + 1)[::size])
    ids = [tuple(f"{split}/{i}" for i in range(len(x))) for split, x in (("t", wide), ("v", plain))]
    digest = hashlib.sha256(b"".join([vocabulary.text.encode(), wide.data, plain.data]))
    pair = f"{len(parts[0]):,} to train on, {len(parts[1]):,} held out"
    return TextSets(
        source,
        (NEXT,),
        TextSet(wide, wide, ids[0]),
        TextSet(plain[:, :-1], plain[:, 1:], ids[1]),
        digest.hexdigest(),
        vocabulary,
        size,
        f"windows of {size} tokens ({pair})",
        plain_task=task,
    )


def texts_of(source: str) -> list[str]:
    """Return the documents or paragraphs of a source; see `load`."""
    return docstrings.running() if source == docstrings.SOURCE else _texts(source)


def _place(text: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed} {text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _files(root: pathlib.Path) -> list[pathlib.Path]:
    """List the .txt files of a folder and of those below it, but for its test split's."""
    test = folder.split_folders(root).get("test")
    return [path for path in sorted(root.rglob("*.txt")) if test not in path.parents]


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
            for t in sources.read(each, source=source)
        ]
    files = _files(path) if path.is_dir() else [path] if path.is_file() else []
    if not files:
        raise InputError(f"source of running text: expected {KINDS}, found {source!r}")
    texts = []
    for file in files:
        whole = sources.decoded(folder.read_file(file), name=str(file))
        # Paragraphs, so that a single long file can be divided; their order is kept.
        texts += [each for each in whole.split("\n\n") if each.strip()]
    return texts
