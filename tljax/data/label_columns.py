"""Columns of a table -> labels of a task: one class, several of them, or numbers."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tljax.data import names
from tljax.errors import InputError
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.multilabel import MULTILABEL
from tljax.tasks.pixels import VOID
from tljax.tasks.regression import REGRESSION
from tljax.tasks.task import Task

TASKS = {task.name: task for task in (CLASSIFICATION, MULTILABEL, REGRESSION)}
MOST = float(np.finfo(np.float32).max)
SLIPS = 0.1  # share of the cells of a column of numbers that may be none by mistake
SEPARATORS = (";", "|", ",")  # between labels of a cell, where none is named


@dataclasses.dataclass(frozen=True)
class Labels:
    """Hold what a source's labels are, as far as it does not tell itself.

    `task` names what is learnt of an example (`tasks.known`). Of a table, `file` and `columns` are
    the columns of files and labels, by default those with the names that people use (`table.FILES`,
    `table.LABELS`), and `separator` is between several labels of one cell. Of masks, `classes` are
    names in the order of the numbers; without them `classes.txt` in the folder is read, and where
    there is none, numbers are names. `void` are numbers of pixels without a class, besides 255.
    """

    task: str | None = None
    file: str = ""
    columns: tuple[str, ...] = ()
    separator: str = ""
    classes: tuple[str, ...] = ()
    void: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        wrong = [number for number in self.void if not 0 <= number <= VOID]
        if wrong:
            raise InputError(f"void: expected numbers from 0 to {VOID}, found {wrong[0]}")


TOLD = Labels()


class Cell(NamedTuple):
    """The label cells of one line, and where the line is, for messages."""

    where: str
    texts: tuple[str, ...]


class Learnt(NamedTuple):
    """A task, what its labels tell of, and the labels `[N, ...]` in the order of the lines."""

    task: Task
    classes: tuple[str, ...]
    values: np.ndarray


def labelled(
    cells: Sequence[Cell], columns: Sequence[str], *, labels: Labels, where: str
) -> Learnt:
    """Read labels from cells; `columns` are the names of theirs.

    Where `labels` names no task, several columns of 0 and 1 are several labels, and so is a column
    whose separator is named; numbers that are not whole, or several columns of them, are numbers;
    all else is a class. InputError names the line of a cell that is none, and of one among numbers
    that is no number.
    """
    kind = labels.task or _told(cells, columns, labels.separator)
    if kind not in TASKS:
        raise InputError(f"{where}: task: expected one of {', '.join(TASKS)}, found {kind}")
    if kind == REGRESSION.name:
        return _numbers(cells, columns)
    if kind == MULTILABEL.name:
        return _marks(cells, columns) if len(columns) > 1 else _lists(cells, labels.separator)
    if len(columns) != 1:
        raise InputError(f"{where}: expected one column of classes, found {', '.join(columns)}")
    texts = [_named(cell, columns[0]) for cell in cells]
    classes = tuple(sorted(set(texts)))
    place = {name: i for i, name in enumerate(classes)}
    return Learnt(CLASSIFICATION, classes, np.array([place[name] for name in texts], np.int32))


def _told(cells: Sequence[Cell], columns: Sequence[str], separator: str) -> str:
    """Tell the task of cells; InputError for columns of numbers with a few cells that are none."""
    if separator:
        return MULTILABEL.name
    many = len(columns) > 1
    if many and all(text in ("0", "1") for cell in cells for text in cell.texts):
        return MULTILABEL.name
    values = np.array([[_value(text) for text in cell.texts] for cell in cells])
    numbers = np.isfinite(values)
    if not numbers.all():
        _refuse_nearly(cells, columns, numbers)
        return CLASSIFICATION.name
    return REGRESSION.name if many or (values % 1).any() else CLASSIFICATION.name


def _refuse_nearly(cells: Sequence[Cell], columns: Sequence[str], numbers: np.ndarray) -> None:
    """Refuse columns of numbers but for a slip, which would make each number a class.

    `numbers` says of each cell whether it is one. A column of whole numbers may be one of classes.
    """
    # A decimal comma is a slip in all lines.
    texts = [[text.replace(",", ".", 1) for text in cell.texts] for cell in cells]
    values = np.array([[_value(text) for text in row] for row in texts])
    others = np.isnan(values).sum(axis=0)
    few = (others <= np.maximum(1, SLIPS * len(cells))) & (2 * others < len(cells))
    if not few.all() or (len(columns) == 1 and not (values[~np.isnan(values)] % 1).any()):
        return
    line, column = np.argwhere(~numbers)[0]
    cell = cells[line]
    ways = "mend it for --task regression"
    if len(columns) == 1:
        ways += ", or --task classification takes every number as the name of a class"
    raise InputError(
        f"{cell.where}: {columns[column]}: expected a number, as in other lines, "
        f"found {_quoted(cell.texts[column])}; {ways}"
    )


def _quoted(text: str) -> str:
    return f"{text!r:.60}" if text else "an empty cell"


def _named(cell: Cell, column: str) -> str:
    name = names.read(cell.texts[0])
    if not name:
        raise InputError(f"{cell.where}: {column}: expected a label, found an empty cell")
    return name


def _numbers(cells: Sequence[Cell], columns: Sequence[str]) -> Learnt:
    rows: list[list[float]] = []
    for cell in cells:
        values = [_value(text) for text in cell.texts]
        for name, text, value in zip(columns, cell.texts, values, strict=True):
            if not math.isfinite(value):
                raise InputError(f"{cell.where}: {name}: expected a number, found {_quoted(text)}")
        rows.append(values)
    return Learnt(REGRESSION, tuple(columns), np.array(rows, np.float32))


def _marks(cells: Sequence[Cell], columns: Sequence[str]) -> Learnt:
    for cell in cells:
        for name, text in zip(columns, cell.texts, strict=True):
            if text not in ("0", "1"):
                raise InputError(f"{cell.where}: {name}: expected 0 or 1, found {_quoted(text)}")
    values = np.array([[text == "1" for text in cell.texts] for cell in cells], np.uint8)
    return Learnt(MULTILABEL, tuple(columns), values)


def _lists(cells: Sequence[Cell], separator: str) -> Learnt:
    texts = [cell.texts[0] for cell in cells]
    between = separator or next((s for s in SEPARATORS if any(s in x for x in texts)), "")
    cut = [text.split(between) if between else [text] for text in texts]
    lists = [{name for part in parts if (name := names.read(part))} for parts in cut]
    classes = tuple(sorted(set().union(*lists)))
    values = np.array([[name in named for name in classes] for named in lists], np.uint8)
    return Learnt(MULTILABEL, classes, values.reshape(len(lists), len(classes)))


def _value(text: str) -> float:
    """Read a number that float32 holds, written as people write them; NaN for anything else."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if "_" not in text and abs(value) <= MOST else math.nan
