"""csv:FILE -> listings: a table of file names and labels beside one flat folder of photographs."""

import csv
import io
import pathlib
import sys
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
    root, where = path.parent, str(path)
    rows, called = _rows(path, labels)
    photos_of: dict[str, str] = {}  # photo -> split
    for number, row in rows:
        at = f"{where}: line {number}"
        photo = _photo(root, row.file, where=at, follow_links=follow_links)
        if photo in photos_of:
            raise InputError(f"{at}: expected each file once, found {photo} again")
        photos_of[photo] = split_of(row.split, where=at)
    if "train" not in photos_of.values():
        raise InputError(f"{where}: expected photographs for train, found none")
    each = [Cell(f"{where}: line {number}", row.labels) for number, row in rows]
    kind, classes, values = labelled(each, called, labels=labels, where=where)
    names.check(where, classes, least=kind.least)
    paths, splits = list(photos_of), np.array(list(photos_of.values()))
    found: dict[str, Listing] = {}
    for split in SPLITS:
        if len(places := np.flatnonzero(splits == split)):
            of = [paths[i] for i in places]
            found[split] = listed(root, of, values[places], progress=progress)
    left = left_out.of_table(root, photos_of.keys(), table=path.name)
    return Found(classes, found, left, kind)


def cells(path: pathlib.Path, *, of: str) -> list[tuple[int, list[str]]]:
    """Read the cells of a table's rows, each with the number of the line that it begins in.

    Cells are separated by `,`, `;` or tabs, whichever the first line has most of. InputError for
    what is no table of UTF-8 text.
    """
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "nothing"
        raise InputError(f"{path}: expected a table of {of}, found {kind}")
    data = read_file(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        read = error.object  # without a byte order mark
        at, byte = 1 + read.count(b"\n", 0, error.start), read[error.start]
        raise InputError(
            f"{path}: line {at}: expected UTF-8 text, found byte {byte:#04x}"
        ) from None
    delimiter = max(",;\t", key=text.lstrip("\r\n").partition("\n")[0].count)
    csv.field_size_limit(min(sys.maxsize, 1 << 31))  # a review is longer than csv expects
    rows, found = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True), []
    try:
        while True:
            begins = rows.line_num + 1  # a quoted cell may go on in the next lines
            if (row := next(rows, None)) is None:
                return found
            found.append((begins, row))
    except csv.Error as error:
        at = f"line {rows.line_num}"
        raise InputError(f"{path}: {at}: expected a table of {of}: {error}") from None


class Row(NamedTuple):
    """What a line says."""

    file: str
    labels: tuple[str, ...]
    split: str


def _rows(path: pathlib.Path, told: Labels) -> tuple[list[tuple[int, Row]], tuple[str, ...]]:
    """Read the lines with their numbers, and the names of the columns of labels.

    A first line that names the columns is not one of them.
    """
    rows = cells(path, of="files and labels")
    lines = [(number, row) for number, row in rows if any(cell.strip() for cell in row)]
    head = [cell.strip() for cell in lines[0][1]] if lines else []
    file, labels, part = _places(path, head, told)
    named = bool(labels)
    if not named:
        if lines and not _at(path.parent / head[0].replace("\\", "/")):
            raise InputError(f"{path}: line {lines[0][0]}: {_no_names(path.parent, head)}")
        file, labels, part = 0, [1], None
    wanted = max(file, part or 0, *labels)
    read: list[tuple[int, Row]] = []
    for number, line in lines[named:]:
        more = any(cell.strip() for cell in line[len(head) if named else 2 :])
        if len(line) <= wanted or more:
            columns = f"{len(head)} columns" if named else "a file and a label"
            raise InputError(
                f"{path}: line {number}: expected {columns}, found {len(line)} columns"
                + ("" if named else "; name the columns file and label in the first line")
            )
        texts = tuple(line[place].strip() for place in labels)
        row = Row(line[file].strip(), texts, line[part] if part is not None else "train")
        if not row.file:
            column = f" in column {head[file]}" if named else ""
            raise InputError(f"{path}: line {number}: expected a file{column}, found an empty cell")
        read.append((number, row))
    if not read:
        raise InputError(f"{path}: expected lines of a file and a label, found none")
    return read, tuple(head[place] if named else "label" for place in labels)


def _no_names(root: pathlib.Path, head: Sequence[str]) -> str:
    """Say what a first line lacks that names neither a photograph nor a column of labels."""
    files = any(name.lower() in FILES for name in head)
    known = ([] if files else [f"of files ({', '.join(FILES[:5])}; --file-column)"]) + [
        f"of labels ({', '.join(LABELS)}; --label-columns)"
    ]
    expected = f"columns {' and '.join(known)}, or a photograph of {root}"
    return f"expected {expected}; found {', '.join(head)[:200]}"


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
    file = column(path, lower, [told.file.lower()] if told.file else FILES)
    labels = [column(path, lower, [name.lower()]) for name in told.columns]
    labels = labels or [column(path, lower, LABELS)]
    part = column(path, lower, PARTS)
    known = [place for place in labels if place is not None]
    if file is None:
        file = next((i for i in range(len(head)) if i not in (*known, part)), 0)
    return file, known, part


def column(path: pathlib.Path, head: Sequence[str], known: Sequence[str]) -> int | None:
    """Return the place of the first of the known columns; InputError for one that is twice there.

    None where `head`, in lower case, has none of them.
    """
    name = next((name for name in known if name in head), None)
    if name is not None and head.count(name) > 1:
        raise InputError(f"{path}: expected one column {name}, found {head.count(name)}")
    return None if name is None else head.index(name)


def split_of(name: str, *, where: str) -> str:
    """Return the split that a cell names; InputError if it names none."""
    for split, spelt in SPLITS.items():
        if name.strip().lower() in spelt:
            return split
    raise InputError(f"{where}: expected a split train, validation or test, found {name!r}")


def _photo(root: pathlib.Path, file: str, *, where: str, follow_links: bool) -> str:
    """Return the path of a photograph relative to the table's folder, with its extension."""
    found = _at(root / file.replace("\\", "/"))
    if found is None:
        raise InputError(f"{where}: expected a photograph {file} in {root}, found none")
    if not follow_links and not found.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{where}: {file} leaves {root}, expected photographs in it")
    return found.relative_to(root).as_posix() if found.is_relative_to(root) else str(found)


def _at(path: pathlib.Path) -> pathlib.Path | None:
    """Find a photograph, whose extension may be left out; None where there is none."""
    kinds = [spelt for each in photos.EXTENSIONS for spelt in (each, each.upper())]
    named = (path.parent / f"{path.name}{extension}" for extension in ("", *kinds))
    return next((each for each in named if _is_file(each)), None)


def _is_file(path: pathlib.Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for the disk
        return False
