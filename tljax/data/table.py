"""csv:FILE -> listings: a table of file names and labels beside one flat folder of photographs."""

import csv
import io
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tljax.data import left_out, names, photos
from tljax.data.folder import SPLITS, Found, listed, read_file
from tljax.data.label_columns import TOLD, Cell, Labels, labelled
from tljax.data.photos import Listing
from tljax.errors import InputError

EXTENSIONS = (".csv", ".tsv", ".txt")
# What the columns are called in the first line, in lower case, where it names them.
FILES = ("file", "filename", "file_name", "image", "image_id", "path", "name", "id", "photo")
LABELS = ("label", "class", "category", "target", "breed", "species", "class_name")
PARTS = ("split", "set", "subset")


def listings(
    path: pathlib.Path,
    *,
    progress: bool,
    follow_links: bool = False,
    labels: Labels = TOLD,
) -> Found:
    """List the photographs that a table names, in its order, with the classes in sorted order.

    A line has a file, relative to the table's folder and perhaps without its extension, and a
    label, or several; the first line may name columns, among them a split. `label_columns` says
    which labels make which task. InputError names the line that is wrong, a file that is missing or
    twice there, and one outside the folder unless `follow_links`.
    """
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "nothing"
        raise InputError(f"{path}: expected a table of files and labels, found {kind}")
    root, where = path.parent, str(path)
    rows, called = _rows(path, labels)
    photos_of: dict[str, str] = {}  # photo -> split
    for number, row in rows:
        at = f"{where}: line {number}"
        photo = _photo(root, row.file, where=at, follow_links=follow_links)
        if photo in photos_of:
            raise InputError(f"{at}: expected each file once, found {photo} again")
        photos_of[photo] = _split(row.split, where=at)
    if "train" not in photos_of.values():
        raise InputError(f"{where}: expected photographs for train, found none")
    cells = [Cell(f"{where}: line {number}", row.labels) for number, row in rows]
    kind, classes, values = labelled(cells, called, labels=labels, where=where)
    names.check(where, classes, least=kind.least)
    paths, splits = list(photos_of), np.array(list(photos_of.values()))
    found: dict[str, Listing] = {}
    for split in SPLITS:
        if len(places := np.flatnonzero(splits == split)):
            of = [paths[i] for i in places]
            found[split] = listed(root, of, values[places], progress=progress)
    left = left_out.of_table(root, photos_of.keys(), table=path.name)
    return Found(classes, found, left, kind)


class Row(NamedTuple):
    """What a line says."""

    file: str
    labels: tuple[str, ...]
    split: str


def _rows(path: pathlib.Path, told: Labels) -> tuple[list[tuple[int, Row]], tuple[str, ...]]:
    """Read the lines with their numbers, and the names of the columns of labels.

    A first line that names the columns is not one of them.
    """
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8 text: {error.reason}") from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        lines = list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}: expected a table of files and labels: {error}") from None
    head = [cell.strip() for cell in lines[0]] if lines else []
    file, labels, part = _places(path, head, told)
    named = bool(labels)
    if not named:
        file, labels, part = 0, [1], None
    wanted = max(file, part or 0, *labels)
    rows = []
    for number, line in enumerate(lines[named:], start=1 + named):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) <= wanted or (not named and len(line) != 2):
            raise InputError(
                f"{path}: line {number}: expected a file and a label, found {len(line)} columns"
                + ("" if named else "; name the columns file and label in the first line")
            )
        texts = tuple(line[place].strip() for place in labels)
        row = Row(line[file].strip(), texts, line[part] if part is not None else "train")
        if not row.file or not row.split:
            raise InputError(f"{path}: line {number}: expected a file and a label, found neither")
        rows.append((number, row))
    if not rows:
        raise InputError(f"{path}: expected lines of a file and a label, found none")
    return rows, tuple(head[place] if named else "label" for place in labels)


def _places(
    path: pathlib.Path, head: Sequence[str], told: Labels
) -> tuple[int, list[int], int | None]:
    """Find the columns of files, labels and splits; no labels where the first line names none.

    InputError for a column that is named and not there.
    """
    lower = [name.lower() for name in head]
    for name in (told.file, *told.columns):
        if name and name.lower() not in lower:
            raise InputError(f"{path}: expected a column {name}, found {', '.join(head)[:200]}")
    file = lower.index(told.file.lower()) if told.file else _column(lower, FILES)
    labels = [lower.index(name.lower()) for name in told.columns]
    if not labels and (known := _column(lower, LABELS)) is not None:
        labels = [known]
    return file or 0, labels, _column(lower, PARTS)


def _column(head: Sequence[str], known: Sequence[str]) -> int | None:
    return next((head.index(name) for name in known if name in head), None)


def _split(name: str, *, where: str) -> str:
    for split, spelt in SPLITS.items():
        if name.strip().lower() in spelt:
            return split
    raise InputError(f"{where}: expected a split train, validation or test, found {name!r}")


def _photo(root: pathlib.Path, file: str, *, where: str, follow_links: bool) -> str:
    """Return the path of a photograph relative to the table's folder, with its extension."""
    path = root / file.replace("\\", "/")
    if not path.is_file():
        named = (path.with_name(path.name + extension) for extension in photos.EXTENSIONS)
        path = next((each for each in named if each.is_file()), path)
    if not path.is_file():
        raise InputError(f"{where}: expected a photograph {file} in {root}, found none")
    if not follow_links and not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{where}: {file} leaves {root}, expected photographs in it")
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
