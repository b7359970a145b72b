"""Labelled texts -> listings: folders of .txt files, tables with a column of texts, TFDS."""

import dataclasses
import pathlib
import re
from collections.abc import Sequence

import numpy as np

from tljax.data import folder, left_out, names, photos, table
from tljax.data.folder import SPLITS, Found
from tljax.data.photos import Listing
from tljax.errors import InputError

EXTENSIONS = (".txt",)


@dataclasses.dataclass(frozen=True)
class Columns:
    """Name the columns of a table; by default those with the names that people use."""

    text: str = ""
    label: str = ""


USUAL = Columns()
# What the columns are called in the first line of a table, in lower case.
TEXTS = ("text", "sentence", "review", "question", "comment", "document", "content")
TELLING = TEXTS[:4]  # of themselves: other tables have comments, too
LABELS = ("label", "class", "category", "target", "sentiment", "topic", "class_name")


def of_folder(root: pathlib.Path, *, progress: bool, follow_links: bool = False) -> Found:
    """List `root/{train,validation,test}/CLASS/*.txt`, or `root/CLASS/*.txt`.

    InputError for a class without a text, and for a folder without classes; the folder of a test
    split may be empty.
    """
    if not root.is_dir():
        kind = "a file" if root.exists() else "nothing"
        raise InputError(f"{root}: expected a folder of class folders, found {kind}")
    folders = folder.split_folders(root)
    inside = None if follow_links else root
    paths = folder.of_classes(root, folders, inside=inside, is_photo=_is_text)
    classes = tuple(sorted({name for by_class in paths.values() for name in by_class}))
    names.check(str(root), classes)
    if not any(paths.get("test", {}).values()):
        paths.pop("test", None)
    for split, by_class in paths.items():
        where = root if folders[split] == root else f"{root}: {split}"
        if not by_class:
            raise InputError(f"{where}: expected class folders, found none")
        for name, found in by_class.items():
            if not found:
                raise InputError(f"{where}: expected texts (*.txt) of class {name}, found none")
    listings = {
        split: folder.listing(
            root,
            [
                (path, label)
                for label, name in enumerate(classes)
                for path in by_class.get(name, [])
            ],
            progress=progress,
        )
        for split, by_class in paths.items()
    }
    used = {name for each in listings.values() for name in each.ids}
    left = left_out.of_folder(root, folders, used, readable=_is_text, what="texts")
    return Found(classes, listings, left)


def folder_holds_texts(root: pathlib.Path) -> bool:
    """Tell whether class folders hold .txt files, and no photograph."""
    texts = False
    for split in folder.split_folders(root).values():
        for name in folder.subfolders(split):
            for entry in folder.visible(split / name):
                if entry.name.lower().endswith(photos.EXTENSIONS):
                    return False
                texts = texts or _is_text(entry.name)
    return texts


def table_holds_texts(path: pathlib.Path) -> bool:
    """Tell whether the first line of a table names a column of texts, and none of files."""
    try:
        with path.open("rb") as file:
            first = file.readline(1 << 16).decode("utf-8-sig", "replace").lower()
    except OSError:
        return False  # whoever reads it says why it cannot be
    names = {cell.strip(" \t\r\n\"'") for cell in re.split("[,;\t]", first)}
    return bool(names & set(TELLING)) and not names & (set(table.FILES) - {"id"})


def of_table(path: pathlib.Path, columns: Columns = USUAL) -> Found:
    """List the rows of a CSV file whose first line names a column of texts and one of labels.

    A column of splits may be among them. InputError names the line that is wrong, and a column that
    is not there.
    """
    cells = table.cells(path, of="texts and labels")
    filled = [(number, row) for number, row in cells if any(cell.strip() for cell in row)]
    (_, names_of), *lines = filled or [(1, [])]
    head = [cell.strip().lower() for cell in names_of]
    for name in (columns.text, columns.label):
        if name and name.lower() not in head:
            raise InputError(f"{path}: expected a column {name}, found {', '.join(head)[:200]}")
    known = ([columns.text.lower()] if columns.text else TEXTS, _labels(columns), table.PARTS)
    text, label, part = (table.column(path, head, each) for each in known)
    if text is None or label is None:
        expected = f"a column {' or '.join(TEXTS[:3])} and one {' or '.join(LABELS[:2])}"
        found = ", ".join(head)[:200] or "nothing"
        more = "; --text-column and --label-columns name others"
        raise InputError(f"{path}: expected {expected} in the first line, found {found}{more}")
    rows: dict[str, list[tuple[str, str, str]]] = {}
    for number, line in lines:
        if len(line) != len(head):
            raise InputError(
                f"{path}: line {number}: expected {len(head)} columns, found {len(line)}"
            )
        name = names.read(line[label])
        if not name or not line[text].strip():
            missing = "text" if name else "label"
            raise InputError(
                f"{path}: line {number}: expected a text and a label, found no {missing}"
            )
        split = table.split_of(
            line[part] if part is not None else "train", where=f"{path}: line {number}"
        )
        rows.setdefault(split, []).append((f"{path.name}:{number}", line[text], name))
    if "train" not in rows:
        raise InputError(f"{path}: expected texts for train, found none")
    classes = tuple(sorted({name for each in rows.values() for _, _, name in each}))
    names.check(str(path), classes)
    place = {name: i for i, name in enumerate(classes)}
    return Found(
        classes,
        {
            split: listing(
                [row[0] for row in rows[split]],
                [row[1] for row in rows[split]],
                [place[row[2]] for row in rows[split]],
            )
            for split in SPLITS
            if split in rows
        },
    )


def of_tfds(name: str, *, data_dir: pathlib.Path | None, progress: bool) -> Found:
    """List a prepared TFDS set of one text and one class label, such as imdb_reviews."""
    from tljax.data import tfds_source

    return Found(*tfds_source.listings(name, data_dir=data_dir, progress=progress, kind="text"))


def listing(ids: Sequence[str], texts: Sequence[str], labels: Sequence[int]) -> Listing:
    """Make the listing of texts that are in memory already."""
    encoded = [text.encode() for text in texts]
    digests = tuple(photos.sha256(each) for each in encoded)
    return Listing(tuple(ids), np.array(labels, np.int32), digests, lambda i: encoded[i])


def read(listing: Listing, *, source: str) -> list[str]:
    """Read the texts of a listing; InputError names one that is empty, or that is no UTF-8."""
    return [
        decoded(listing.read(i), name=f"{source}: {name}") for i, name in enumerate(listing.ids)
    ]


def decoded(data: bytes, *, name: str) -> str:
    """Decode the bytes of a text; InputError for one that is empty, or that is no UTF-8."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"byte {data[error.start]:#04x} at {error.start}"
        raise InputError(f"{name}: expected UTF-8 text, found {where}") from None
    if not text.strip():
        raise InputError(f"{name}: expected a text, found an empty file")
    return text


def _labels(columns: Columns) -> Sequence[str]:
    return [columns.label.lower()] if columns.label else LABELS


def _is_text(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)
