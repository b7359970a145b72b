"""What a network of another task than classification says of photographs, written by line."""

# pyright: strict

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tljax.errors import InputError
from tljax.tasks.multilabel import Multilabel
from tljax.tasks.regression import Regression
from tljax.tasks.task import Task
from tljax.train.outcome.prediction import Prediction, Ranked, csv_line, percent, probabilities

JOIN = ";"  # between the labels of a photograph, as in tables that are read


@dataclass(frozen=True, eq=False, repr=False)
class Answers(Prediction):
    """Hold the probabilities of several labels, or numbers."""

    thresholds: tuple[float, ...] = ()  # probabilities above which a label is given; of numbers ()

    @property
    def probabilities(self) -> np.ndarray:
        """Return the probabilities `[N, labels]`; InputError where the values are numbers."""
        if not self.thresholds:
            raise InputError(f"predict: expected probabilities, found {', '.join(self.classes)}")
        return self.values

    def given(self) -> list[Ranked]:
        """Give the labels of each photograph with their probabilities, the likeliest first."""
        least = dict(zip(self.classes, self.thresholds, strict=True))
        return [[(name, p) for name, p in row if p > least[name]] for row in self.ranked()]

    def document(self, most: int | None = None) -> dict[str, dict[str, Any]]:
        """Map each photograph to its labels and all probabilities, or to its numbers."""
        named = [
            {name: float(value) for name, value in zip(self.classes, row, strict=True)}
            for row in self.values
        ]
        if not self.thresholds:
            return dict(zip(self.names, named, strict=True))
        given = [[name for name, _ in labels[:most]] for labels in self.given()]
        return {
            photo: {"labels": labels, "probabilities": each}
            for photo, labels, each in zip(self.names, given, named, strict=True)
        }

    def json_lines(self, most: int | None = None) -> list[str]:
        """Write a JSON object for each photograph."""
        rows = self.document(most).items()
        return [json.dumps({"file": name, **row}, ensure_ascii=False) for name, row in rows]

    def csv_lines(self, most: int | None = None, *, head: bool = True) -> list[str]:
        """Write a line of CSV for each photograph: file, then every probability or number.

        Of labels those that are given stand between them, in one column, the likeliest first.
        """
        del most  # each has its column
        given: list[list[str]] = [[] for _ in self.names]
        if self.thresholds:
            given = [[JOIN.join(name for name, _ in row)] for row in self.given()]
        rows = [
            [name, *labels, *(f"{value:.6g}" for value in row)]
            for name, labels, row in zip(self.names, given, self.values.tolist(), strict=True)
        ]
        columns = ["file", *(["labels"] if self.thresholds else []), *self.classes]
        return [csv_line(row) for row in ([columns] if head else []) + rows]

    def least(self) -> str:
        """Tell above which probability each label is given; empty for numbers."""
        if not self.thresholds:
            return ""
        pairs = zip(self.classes, self.thresholds, strict=True)
        return f"a label is given above {', '.join(f'{name} {100 * p:.1f} %' for name, p in pairs)}"

    def texts(self, most: int | None = None) -> list[str]:
        """Write "sit 81.0 %, floppy ears 62.3 %" or "size 47.2" for each photograph."""
        if not self.thresholds:
            rows = [zip(self.classes, row, strict=True) for row in self.values.tolist()]
            return [", ".join(f"{name} {value:.4g}" for name, value in row) for row in rows]
        return [percent(labels[:most]) or "none" for labels in self.given()]


def told(
    task: Task,
    classes: tuple[str, ...],
    *,
    names: tuple[str, ...],
    logits: np.ndarray,
    unread: dict[str, str],
) -> Prediction:
    """Say what logits `[N, outputs]` mean for photographs of these names."""
    if isinstance(task, Multilabel):
        thresholds = np.broadcast_to(task.thresholds, len(classes))
        chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
        return Answers(names, classes, chances, unread, tuple(thresholds.tolist()))
    if isinstance(task, Regression):
        return Answers(names, classes, task.predicted(logits), unread)
    return Prediction(names, classes, probabilities(logits), unread)


def together(parts: Sequence[Prediction], none: Prediction) -> Prediction:
    """Join what was said of several batches; `none` is what is said of no photograph."""
    return replace(
        none,
        names=tuple(name for part in parts for name in part.names),
        values=np.concatenate([none.values, *(part.values for part in parts)]),
        unread={name: why for part in parts for name, why in part.unread.items()},
    )
