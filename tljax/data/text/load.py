"""Sources of labelled texts -> TextSets: tokens, labels and ids, with one class list."""

import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from tljax import waiting
from tljax.data import names, splits
from tljax.data.folder import Found
from tljax.data.photos import Listing
from tljax.data.sources import STRICT, USUAL, Places, Tolerance
from tljax.data.text import docstrings, sources
from tljax.data.text.sets import TextSet, TextSets
from tljax.data.text.sources import Columns
from tljax.data.text.vocabulary import Vocabulary
from tljax.errors import InputError
from tljax.files import npz
from tljax.files.home import at_home

AT_ONCE = 512  # texts, between two moves of the progress bar
WHOLE = 99.0  # percent of the training texts that are not cut
KINDS = "folder:PATH, csv:FILE, tfds:NAME, or stdlib"


def load(
    source: str | pathlib.Path,
    *,
    vocabulary: Vocabulary,
    size: int,
    columns: Columns = sources.USUAL,
    validation_fraction: float = 0.2,
    tolerance: Tolerance = STRICT,
    places: Places = USUAL,
    progress: bool = True,
) -> TextSets:
    """Load `folder:PATH`, `csv:FILE`, `tfds:NAME` or `stdlib` as tokens of a vocabulary.

    Texts become as many tokens as 99 % of the training texts have, `size` at most. The path of a
    folder or of a CSV file stands for itself; `columns` names those of a CSV file. A source without
    a validation split is split by `validation_fraction`, the same each time. InputError for
    anything that cannot be read, and for a text in two splits or classes unless `tolerance` allows
    it.
    """
    source = str(source)
    if size < 1:
        raise InputError(f"size: expected at least 1 token, found {size}")
    found = listed(source, columns=columns, places=places, tolerance=tolerance, progress=progress)
    names.check(source, found.classes)
    listings = splits.complete(
        source,
        found.listings,
        found.classes,
        fraction=validation_fraction,
        seed=0,
        copies=tolerance.allow_duplicates,
        what="texts",
    )
    rows = {
        split: _tokens(source, each, vocabulary, places.store, progress=progress)
        for split, each in listings.items()
    }
    lengths = np.array([len(row) for row in rows["train"]])
    length = _length(lengths, most=size)
    sets = {
        split: TextSet(
            vocabulary.padded([row.tolist() for row in rows[split]], length=length),
            each.labels,
            each.ids,
            tuple(sources.read(each, source=source)),
        )
        for split, each in listings.items()
    }
    whole = 100 * float((lengths <= length).mean())
    return TextSets(
        source,
        found.classes,
        sets["train"],
        sets["validation"],
        _digest(listings, found.classes, vocabulary, length),
        vocabulary,
        length,
        f"texts of {length} tokens, {whole:.1f} % of them whole",
        test=sets.get("test"),
        left_out=found.left_out,
    )


def listed(
    source: str,
    *,
    columns: Columns = sources.USUAL,
    places: Places = USUAL,
    tolerance: Tolerance = STRICT,
    progress: bool = False,
) -> Found:
    """List the texts of a source; InputError for another kind of source."""
    if source == docstrings.TARGET:
        return docstrings.sentences()
    kind, where = _kind(source)
    if columns != sources.USUAL and kind != "csv":
        raise InputError(f"columns: expected csv:FILE with them, found {source}")
    if kind == "folder" and where:
        follow_links = tolerance.follow_links
        return sources.of_folder(at_home(where), progress=progress, follow_links=follow_links)
    if kind == "csv" and where:
        return sources.of_table(at_home(where), columns)
    if kind == "tfds" and where:
        return sources.of_tfds(where, data_dir=places.tfds, progress=progress)
    raise InputError(f"source of texts: expected {KINDS}, found {source!r}")


def holds_texts(source: str) -> bool:
    """Tell whether a source is of texts: folders of .txt files, or a table with a column of texts.

    Photographs among them make it another source.
    """
    if source == docstrings.TARGET:
        return True
    kind, where = _kind(source)
    path = at_home(where)
    if not where:
        return False
    if kind == "folder":
        return path.is_dir() and sources.folder_holds_texts(path)
    return kind == "csv" and path.is_file() and sources.table_holds_texts(path)


def _kind(source: str) -> tuple[str, str]:
    """Return what kind a source is, "" for none, and where it is."""
    kind, _, where = source.partition(":")
    if kind in ("folder", "csv", "tfds"):
        return kind, where
    path = at_home(source)
    return "folder" if path.is_dir() else "csv" if path.is_file() else "", source


def _length(lengths: np.ndarray, *, most: int) -> int:
    """Return the tokens of a text: those of 99 % of these, in eights, `most` at most."""
    wanted = int(np.percentile(lengths, WHOLE, method="higher"))
    return min(most, -(-wanted // 8) * 8)


def _tokens(
    source: str, listing: Listing, vocabulary: Vocabulary, folder: pathlib.Path, *, progress: bool
) -> list[np.ndarray]:
    """Turn the texts of a listing into tokens, or read them from the cache."""
    key = hashlib.sha256(json.dumps([vocabulary.digest, *listing.digests]).encode()).hexdigest()
    path = folder / "tokens" / f"{key}.npz"
    if not path.is_file():
        rows: list[list[int]] = []
        texts = sources.read(listing, source=source)
        with waiting.bar(len(texts), "tokens", unit="texts", shown=progress) as bar:
            for first in range(0, len(texts), AT_ONCE):
                rows += vocabulary.encode(texts[first : first + AT_ONCE])
                bar.update(len(rows) - bar.n)
        flat = np.array([token for row in rows for token in row], np.int32)
        npz.write(path, {"tokens": flat, "ends": np.cumsum([len(row) for row in rows])})
    kept = npz.read(path, {"tokens": "i1", "ends": "i1"})
    return np.split(kept["tokens"], kept["ends"][:-1])


def _digest(
    listings: Mapping[str, Listing],
    classes: Sequence[str],
    vocabulary: Vocabulary,
    length: int,
) -> str:
    content = {split: [each.digests, each.labels.tolist()] for split, each in listings.items()}
    document = ["texts", length, vocabulary.digest, classes, content]
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
