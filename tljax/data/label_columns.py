"""Columns of a table -> labels of a task: one class, several of them, or numbers."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tljax.data import names
from tljax.errors import InputError
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.multilabel import MULTILABEL
from tljax.tasks.regression import REGRESSION
from tljax.tasks.task import Task

TASKS = {task.name: task for task in (CLASSIFICATION, MULTILABEL, REGRESSION)}
SEPARATORS = (";", "|", ",")  # between labels of a cell, where none is named


class Columns(NamedTuple):
    """What a table's columns are called, and what is between several labels of one cell."""

    file: str = ""  # empty where the names that people use tell (`table.FILES`, `table.LABELS`)
    labels: tuple[str, ...] = ()
    separator: str = ""


class Cell(NamedTuple):
    """The label cells of one line, and where the line is, for messages."""

    where: str
    texts: tuple[str, ...]


class Labels(NamedTuple):
    """A task, what its labels tell of, and the labels `[N, ...]` in the order of the lines."""

    task: Task
    classes: tuple[str, ...]
    values: np.ndarray


def labelled(
    cells: Sequence[Cell], columns: Sequence[str], *, task: str | None, separator: str, where: str
) -> Labels:
    """Read labels from cells; `columns` are the names of theirs.

    Without a `task`, several columns of 0 and 1 are several labels, and so is a column whose
    separator is named; numbers that are not whole, or several columns of them, are numbers; all
    else is a class. InputError names the line of a cell that is none.
    """
    kind = task or _told(cells, separator)
    if kind not in TASKS:
        raise InputError(f"{where}: task: expected one of {', '.join(TASKS)}, found {kind}")
    if kind == REGRESSION.name:
        return _numbers(cells, columns)
    if kind == MULTILABEL.name:
        return _marks(cells, columns) if len(columns) > 1 else _lists(cells, separator)
    if len(columns) != 1:
        raise InputError(f"{where}: expected one column of classes, found {', '.join(columns)}")
    texts = [_named(cell) for cell in cells]
    classes = tuple(sorted(set(texts)))
    place = {name: i for i, name in enumerate(classes)}
    return Labels(CLASSIFICATION, classes, np.array([place[name] for name in texts], np.int32))


def _told(cells: Sequence[Cell], separator: str) -> str:
    if separator:
        return MULTILABEL.name
    texts = [text for cell in cells for text in cell.texts]
    many = len(cells[0].texts) > 1
    if many and all(text in ("0", "1") for text in texts):
        return MULTILABEL.name
    values = [_value(text) for text in texts]
    numbers = all(map(math.isfinite, values))
    if numbers and (many or any(value % 1 for value in values)):
        return REGRESSION.name
    return CLASSIFICATION.name


def _named(cell: Cell) -> str:
    name = names.read(cell.texts[0])
    if not name:
        raise InputError(f"{cell.where}: expected a file and a label, found neither")
    return name


def _numbers(cells: Sequence[Cell], columns: Sequence[str]) -> Labels:
    rows: list[list[float]] = []
    for cell in cells:
        values = [_value(text) for text in cell.texts]
        for name, text, value in zip(columns, cell.texts, values, strict=True):
            if not math.isfinite(value):
                raise InputError(f"{cell.where}: {name}: expected a number, found {text!r:.60}")
        rows.append(values)
    return Labels(REGRESSION, tuple(columns), np.array(rows, np.float32))


def _marks(cells: Sequence[Cell], columns: Sequence[str]) -> Labels:
    for cell in cells:
        for name, text in zip(columns, cell.texts, strict=True):
            if text not in ("0", "1"):
                raise InputError(f"{cell.where}: {name}: expected 0 or 1, found {text!r:.60}")
    values = np.array([[text == "1" for text in cell.texts] for cell in cells], np.uint8)
    return Labels(MULTILABEL, tuple(columns), values)


def _lists(cells: Sequence[Cell], separator: str) -> Labels:
    texts = [cell.texts[0] for cell in cells]
    between = separator or next((s for s in SEPARATORS if any(s in x for x in texts)), "")
    cut = [text.split(between) if between else [text] for text in texts]
    lists = [{name for part in parts if (name := names.read(part))} for parts in cut]
    classes = tuple(sorted(set().union(*lists)))
    values = np.array([[name in named for name in classes] for named in lists], np.uint8)
    return Labels(MULTILABEL, classes, values.reshape(len(lists), len(classes)))


def _value(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
