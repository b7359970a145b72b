"""Readers of data sets that people bring: each fails where what it read is not what is there."""

import csv
import io
import math
import pathlib

import numpy as np

from tljax import data
from tljax.data.text import load, vocabulary

MARKED = data.Labels("multilabel", columns=("cat", "dog"))
NUMBERED = data.Labels("regression", columns=("cat", "dog"))
LISTED = data.Labels(separator=";")


def _loaded(path: pathlib.Path, labels: data.Labels) -> data.ImageSets:
    places = data.Places(path.parent / "cache")
    kind = "folder" if path.is_dir() else "csv"
    return data.load(f"{kind}:{path}", size=4, labels=labels, places=places, progress=False)


def _splits(sets):
    """All examples, in pairs of a split's name and the split."""
    ids = [each for part in sets.splits.values() for each in part.ids]
    assert len(ids) == len(set(ids))
    return sets.splits.items()


def masks():
    """A folder of images and masks: each pixel has its own class, or none."""
    from PIL import Image

    def read(path):
        sets = _loaded(path, data.Labels())
        for split, part in _splits(sets):
            for id, labels in zip(part.ids, part.labels, strict=True):
                folder = path / split if (path / split).is_dir() else path
                stem = pathlib.PurePosixPath(id).stem
                bits = (folder / "masks" / f"{stem}.png").read_bytes()[24]
                image = Image.open(folder / "masks" / f"{stem}.png")
                # Pillow stretches grey to 8 bits, but leaves palettes and single bits as they are.
                grey = np.array(image, np.uint8) // (
                    255 // (2**bits - 1) if image.mode == "L" else 1
                )
                known = sets.task.numbers
                expected = np.array([known.index(n) if n in known else 255 for n in range(256)])
                np.testing.assert_array_equal(labels, expected[grey])

    return read


def table():
    """A table of labels: its rows are read in order, those without a photograph refused."""

    def read(path):
        kind = path.stem
        told = {"marks": MARKED, "numbers": NUMBERED, "lists": LISTED}.get(kind, data.Labels())
        sets = _loaded(path, told)
        lines = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"))))
        head = [cell.strip().lower() for cell in lines[0]]
        wanted = [head.index(name) for name in ("cat", "dog", "label") if name in head] or [1]
        rows = {
            pathlib.PurePosixPath(row[0].strip().replace("\\", "/")).stem: [
                row[i].strip() for i in wanted
            ]
            for row in lines
            if any(cell.strip() for cell in row)
        }
        for _, part in _splits(sets):
            for id, label in zip(part.ids, part.labels, strict=True):
                row = rows[pathlib.PurePosixPath(id).stem]
                if kind == "numbers":
                    np.testing.assert_array_equal(label, np.float32(row))
                elif kind == "marks":
                    assert label.tolist() == [int(cell) for cell in row]
                elif kind == "lists":
                    names = {sets.classes[i] for i in np.flatnonzero(label)}
                    assert names == {n for n in map(_seen, row[0].split(";")) if n}
                else:
                    assert sets.classes[label] == _seen(row[0])
            assert np.isfinite(part.labels).all()

    return read


def _seen(text: str) -> str:
    from tljax.data import names

    return names.read(text)


def texts():
    """A folder or a table of texts: each is whole, of its class, and its tokens are known."""
    words = vocabulary.trained(["the old dog saw one more hill", "rain and sun"], size=300)

    def read(path):
        source = f"{'folder' if path.is_dir() else 'csv'}:{path}"
        places = data.Places(path.parent / "cache")
        sets = load.load(source, vocabulary=words, size=16, places=places, progress=False)
        for _, part in _splits(sets):
            assert 0 <= part.inputs.min() <= part.inputs.max() < words.size
            for id, text, label in zip(part.ids, part.texts, part.labels, strict=True):
                if path.is_dir():
                    assert text.encode() == (path / id).read_bytes().removeprefix(b"\xef\xbb\xbf")
                    assert _seen((path / id).parent.name) == sets.classes[label]
                assert text.strip()

    return read


def tokens():
    """A vocabulary file: every text becomes tokens that it has."""

    def read(path):
        words = vocabulary.read(path.read_bytes(), where=str(path))
        for row in words.encode(["The old dog", "", "\u0416\U0001f600 x", "a" * 500]):
            assert all(0 <= token < words.size for token in row)
        assert words.padded([[1, 2]], length=3).tolist() == [[1, 2, 0]]
        assert math.isfinite(words.size)

    return read
