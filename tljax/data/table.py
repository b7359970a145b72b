"""csv:FILE -> listings: a table of file names and labels beside one flat folder of photographs."""

import csv
import io
import pathlib
from collections.abc import Sequence

from tljax.data import left_out, names, photos
from tljax.data.folder import SPLITS, Found, listing, read_file
from tljax.errors import InputError

EXTENSIONS = (".csv", ".tsv", ".txt")
# What the columns are called in the first line, in lower case, where it names them.
FILES = ("file", "filename", "file_name", "image", "image_id", "path", "name", "id", "photo")
LABELS = ("label", "class", "category", "target", "breed", "species", "class_name")
PARTS = ("split", "set", "subset")
Row = tuple[str, str, str]  # file, label, split


def listings(path: pathlib.Path, *, progress: bool, follow_links: bool = False) -> Found:
    """List the photographs that a table names, in its order, with the classes in sorted order.

    A line has a file, relative to the table's folder and perhaps without its extension, and a
    label; the first line may name columns, among them a split. InputError names the line that is
    wrong, a file that is missing or twice there, and one outside the folder unless `follow_links`.
    """
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "nothing"
        raise InputError(f"{path}: expected a table of files and labels, found {kind}")
    root, where = path.parent, str(path)
    rows: dict[str, list[tuple[str, str]]] = {}
    seen: set[str] = set()
    for number, (file, label, split) in _rows(path):
        photo = _photo(root, file, where=f"{where}: line {number}", follow_links=follow_links)
        if photo in seen:
            raise InputError(
                f"{where}: line {number}: expected each file once, found {photo} again"
            )
        seen.add(photo)
        rows.setdefault(_split(split, where=f"{where}: line {number}"), []).append((photo, label))
    if "train" not in rows:
        raise InputError(f"{where}: expected photographs for train, found none")
    classes = tuple(sorted({label for pairs in rows.values() for _, label in pairs}))
    names.check(where, classes)
    place = {name: i for i, name in enumerate(classes)}
    return Found(
        classes,
        {
            split: listing(
                root, [(file, place[label]) for file, label in rows[split]], progress=progress
            )
            for split in SPLITS
            if split in rows
        },
        left_out.of_table(root, seen, table=path.name),
    )


def _rows(path: pathlib.Path) -> list[tuple[int, Row]]:
    """Read the lines with their numbers; a first line that names the columns is not one of them."""
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
    head = [cell.strip().lower() for cell in lines[0]] if lines else []
    file, label, part = (_column(head, known) for known in (FILES, LABELS, PARTS))
    named = label is not None
    if not named:
        file, label, part = 0, 1, None
    wanted = max(column for column in (file or 0, label, part or 0))
    rows = []
    for number, line in enumerate(lines[named:], start=1 + named):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) <= wanted or (not named and len(line) != 2):
            raise InputError(
                f"{path}: line {number}: expected a file and a label, found {len(line)} columns"
                + ("" if named else "; name the columns file and label in the first line")
            )
        cells = (line[file or 0].strip(), names.read(line[label]), line[part] if part else "train")
        if not all(cells):
            raise InputError(f"{path}: line {number}: expected a file and a label, found neither")
        rows.append((number, cells))
    if not rows:
        raise InputError(f"{path}: expected lines of a file and a label, found none")
    return rows


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
