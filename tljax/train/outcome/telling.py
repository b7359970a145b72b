"""What a network of another task than classification says of photographs, written by line."""

# pyright: strict

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from tljax.tasks.multilabel import Multilabel
from tljax.tasks.regression import Regression
from tljax.tasks.task import Task
from tljax.train.outcome.prediction import Prediction, probabilities


@dataclass(frozen=True, eq=False)
class Answers:
    """Hold what a network says of photographs, in their order.

    `values` `[N, K]` are the probabilities of labels, or numbers in their units.
    """

    names: tuple[str, ...]  # the path of each, or its place
    classes: tuple[str, ...]
    values: np.ndarray
    unread: dict[str, str] = field(default_factory=dict[str, str])  # name -> why it was left out
    thresholds: tuple[
        float, ...
    ] = ()  # the probability above which a label is given; of numbers ()

    def given(self) -> list[list[tuple[str, float]]]:
        """Give the labels of each photograph with their probabilities, the likeliest first."""
        rows = [
            [
                (name, float(p))
                for name, p, least in zip(self.classes, row, self.thresholds, strict=True)
                if p > least
            ]
            for row in self.values
        ]
        return [sorted(row, key=lambda pair: -pair[1]) for row in rows]

    def lines(self, most: int | None = None) -> list[str]:
        """Write "photo.jpg: sit 81.0 %, floppy ears 62.3 %", or "photo.jpg: size 47.2"."""
        return [f"{name}: {text}" for name, text in zip(self.names, self.texts(most), strict=True)]

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
        """Write a line of CSV for each photograph: file, then every probability or number."""
        del most  # each has its column
        rows = [
            [name, *(f"{value:.6g}" for value in row)]
            for name, row in zip(self.names, self.values.tolist(), strict=True)
        ]
        return [_csv(row) for row in ([["file", *self.classes]] if head else []) + rows]

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        """Write a line for each photograph."""
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        left = f", {len(self.unread)} unread" if self.unread else ""
        return f"Answers({len(self)} photographs; {', '.join(self.classes[:5])}{left})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>"
            for name, text in zip(self.names, self.texts(), strict=True)
        )
        return f"<table>{rows}</table>"

    def texts(self, most: int | None = None) -> list[str]:
        """Write "sit 81.0 %, floppy ears 62.3 %" or "size 47.2" for each photograph."""
        if not self.thresholds:
            rows = [zip(self.classes, row, strict=True) for row in self.values.tolist()]
            return [", ".join(f"{name} {value:.4g}" for name, value in row) for row in rows]
        return [
            ", ".join(f"{name} {100 * p:.1f} %" for name, p in labels[:most]) or "none"
            for labels in self.given()
        ]


Told = Prediction | Answers


def told(
    task: Task,
    classes: tuple[str, ...],
    *,
    names: tuple[str, ...],
    logits: np.ndarray,
    unread: dict[str, str],
) -> Told:
    """Say what logits `[N, outputs]` mean for photographs of these names."""
    if isinstance(task, Multilabel):
        thresholds = np.broadcast_to(task.thresholds, len(classes))
        chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
        return Answers(names, classes, chances, unread, tuple(thresholds.tolist()))
    if isinstance(task, Regression):
        return Answers(names, classes, task.predicted(logits), unread)
    return Prediction(names, classes, probabilities(logits), unread)


def together(parts: Sequence[Told], none: Told) -> Told:
    """Join what was said of several batches; `none` is what is said of no photograph."""
    names = tuple(name for part in parts for name in part.names)
    unread = {name: why for part in parts for name, why in part.unread.items()}
    rows = np.concatenate([rows_of(none), *map(rows_of, parts)])
    if isinstance(none, Prediction):
        return Prediction(names, none.classes, rows, unread)
    return Answers(names, none.classes, rows, unread, none.thresholds)


def rows_of(part: Told) -> np.ndarray:
    """Return the probabilities or numbers `[N, K]`."""
    return part.probabilities if isinstance(part, Prediction) else part.values


def _csv(row: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(row)
    return text.getvalue()
