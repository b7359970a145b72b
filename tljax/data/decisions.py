"""What a person decided about labels, as a CSV file: kept, given another class, or deleted.

Columns, by name: `id` of the photograph, `label` as it was, `decision` and `new_label`. Others are
not read. No decision is `keep`.
"""

# pyright: strict

import csv
import dataclasses
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tljax.data import table
from tljax.data.sets import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.files import disk
from tljax.files.home import at_home
from tljax.tasks.classification import CLASSIFICATION

KEEP, RELABEL, DELETE = "keep", "relabel", "delete"
COLUMNS = ("id", "label", "decision", "new_label")


@dataclasses.dataclass(frozen=True)
class Decision:
    """A line of the file: a photograph, its label as it was, and what becomes of it."""

    id: str
    label: str
    decision: str = KEEP
    new_label: str = ""


def write(path: Path, decisions: Sequence[Decision], more: Sequence[dict[str, str]]) -> Path:
    """Write the file for a person to fill in; `more` are columns to decide by, one dict a line."""
    text = io.StringIO()
    names = [*COLUMNS, *(more[0] if more else {})]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for decision, extra in zip(decisions, more, strict=True):
        writer.writerow({**dataclasses.asdict(decision), **extra})
    return disk.write(path, text.getvalue().encode())


def read(path: str | Path) -> list[Decision]:
    """Read the file, as a spreadsheet saves it too, with `;` or tabs between its columns.

    InputError names the line whose decision is unknown or lacks what it needs.
    """
    path = at_home(path)
    (_, head), *rows = table.cells(path, of="decisions") or [(1, [])]
    if missing := [name for name in COLUMNS if name not in head]:
        raise InputError(f"{path}: expected columns {', '.join(COLUMNS)}; missing {missing[0]}")
    decisions: list[Decision] = []
    for number, row in rows:
        if not any(row):
            continue
        cells = dict(zip(head, row, strict=False))
        values = {name: cells.get(name, "").strip() for name in COLUMNS}
        values["decision"] = values["decision"].lower() or KEEP
        where = f"{path}: line {number} ({values['id']})"
        if values["decision"] not in (KEEP, RELABEL, DELETE):
            expected = f"{KEEP}, {RELABEL} or {DELETE}"
            raise InputError(f"{where}: expected {expected}, found {values['decision']!r}")
        if values["decision"] == RELABEL and not values["new_label"]:
            raise InputError(f"{where}: expected a class in new_label, found nothing")
        decisions.append(Decision(**values))
    return decisions


def apply(sets: ImageSets, decisions: Sequence[Decision], *, where: str) -> tuple[ImageSets, str]:
    """Give training photographs other labels, and leave some out: (the sets, a line that says so).

    InputError, beginning with `where`, for a photograph that is not in training or has another
    label than the file says, one that is decided on twice, and an unknown class.
    """
    if sets.task.name != CLASSIFICATION.name:
        raise InputError(f"{where}: expected a classification, found {sets.task.name}")
    place = {name: i for i, name in enumerate(sets.train.ids)}
    number = {name: i for i, name in enumerate(sets.classes)}
    labels, kept = np.array(sets.train.labels, np.int32), np.ones(len(sets.train), bool)
    seen: set[str] = set()
    for each in decisions:
        if each.id in seen:
            raise InputError(f"{where}: {each.id}: expected one line, found two")
        seen.add(each.id)
        if each.id not in place:
            raise InputError(f"{where}: {each.id}: expected a training photograph, found none")
        found = sets.classes[int(labels[place[each.id]])]
        if found != each.label:
            raise InputError(f"{where}: {each.id}: expected label {each.label}, found {found}")
        if each.decision == RELABEL:
            if each.new_label not in number:
                expected = f"one of {', '.join(sets.classes[:12])}"
                raise InputError(f"{where}: {each.id}: expected {expected}, found {each.new_label}")
            labels[place[each.id]] = number[each.new_label]
        elif each.decision == DELETE:
            kept[place[each.id]] = False
    changed, out = int((labels != sets.train.labels).sum()), int((~kept).sum())
    if not changed and not out:
        return sets, f"{where}: nothing to change"
    rows = np.flatnonzero(kept)
    train = ImageSet(
        sets.train.images[rows],
        labels[rows],
        tuple(sets.train.ids[row] for row in rows),
        sets.train.task,
    )
    decided = sorted((e.id, e.decision, e.new_label) for e in decisions if e.decision != KEEP)
    digest = hashlib.sha256(f"{sets.digest} {decided}".encode()).hexdigest()
    left_out = (*sets.left_out, *([f"{out} by decision"] if out else []))
    said = f"{where}: {changed} training photographs have another label, {out} are left out"
    return dataclasses.replace(sets, train=train, digest=digest, left_out=left_out), said
