"""What a classifier predicts for photographs, and the ways in which people want it written."""

# pyright: strict

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tljax.tasks.classification import two_sided
from tljax.train.outcome.reading import BATCH

TOP = 5  # classes of a photograph that are named
Ranked = list[tuple[str, float]]  # classes with their probabilities, the likeliest first


@dataclass(frozen=True, eq=False)
class Prediction:
    """Hold what a network predicts for photographs, in their order.

    `values` `[N, K]` are the probabilities of classes or of labels, or numbers in their units.
    """

    names: tuple[str, ...]  # the path of each, or its place
    classes: tuple[str, ...]
    values: np.ndarray  # of classes float32, and the sum of a row is 1
    unread: dict[str, str] = field(default_factory=dict[str, str])  # name -> why it was left out

    @property
    def probabilities(self) -> np.ndarray:
        """Return the probabilities `[N, classes]`; InputError where the values are none."""
        return self.values

    def top(self) -> Ranked:
        """Give the most likely class of each photograph, and its probability."""
        return [ranked[0] for ranked in self.ranked(1)]

    def ranked(self, most: int | None = None) -> list[Ranked]:
        """Give the likeliest classes of each photograph and their probabilities, at most `most`."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :most]
        return [
            [(self.classes[i], float(row[i])) for i in places]
            for places, row in zip(order, self.probabilities, strict=True)
        ]

    def given(self) -> list[Ranked]:
        """Give what each photograph is said to be: its class, or all of its labels."""
        return self.ranked(1)

    def document(self, most: int | None = None) -> dict[str, dict[str, Any]]:
        """Map each photograph to its likeliest classes and their probabilities."""
        pairs = zip(self.names, self.ranked(most), strict=True)
        return {name: dict(ranked) for name, ranked in pairs}

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        """Write a line for each photograph, its likeliest classes first."""
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        left = f", {len(self.unread)} unread" if self.unread else ""
        return f"{type(self).__name__}({len(self)} examples, {len(self.classes)} classes{left})"

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>"
            for name, text in zip(self.names, self.texts(), strict=True)
        )
        return f"<table>{rows}</table>"

    def lines(self, most: int | None = TOP) -> list[str]:
        """Write "photo.jpg: cat 97.1 %, dog 2.9 %" for each photograph."""
        return [f"{name}: {text}" for name, text in zip(self.names, self.texts(most), strict=True)]

    def texts(self, most: int | None = TOP) -> list[str]:
        """Write "cat 97.1 %, dog 2.9 %" for each photograph."""
        return [percent(ranked) for ranked in self.ranked(most)]

    def json_lines(self, most: int | None = None) -> list[str]:
        """Write a JSON object for each photograph: file, class, probability, and all by class."""
        return [
            json.dumps(
                {"file": name, "class": best, "probability": p, "classes": dict(ranked)},
                ensure_ascii=False,
            )
            for name, ranked in zip(self.names, self.ranked(most), strict=True)
            for best, p in ranked[:1]
        ]

    def csv_lines(self, most: int | None = TOP, *, head: bool = True) -> list[str]:
        """Write a line of CSV for each photograph: file, then classes and probabilities in order.

        With `head` a line with the names of the columns comes first.
        """
        count = min(most or len(self.classes), len(self.classes))
        ends = ["", *(f"_{place}" for place in range(2, count + 1))]
        names = [f"{name}{end}" for end in ends for name in ("class", "probability")]
        pairs = zip(self.names, self.ranked(count), strict=True)
        rows = [[name, *(_cell(x) for pair in ranked for x in pair)] for name, ranked in pairs]
        return [csv_line(row) for row in ([["file", *names]] if head else []) + rows]


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Turn logits `[N, outputs]` into probabilities float32 `[N, classes]`."""
    both = two_sided(logits).astype(np.float64)
    return np.exp(both - np.logaddexp.reduce(both, axis=1, keepdims=True)).astype(np.float32)


def padded(images: np.ndarray) -> np.ndarray:
    """Fill a batch up with zeros: one compilation, however many images."""
    return np.pad(images, [(0, BATCH - len(images)), *[(0, 0)] * (images.ndim - 1)])


def percent(ranked: Ranked) -> str:
    """Write "cat 97.1 %, dog 2.9 %"."""
    return ", ".join(f"{label} {100 * p:.1f} %" for label, p in ranked)


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.6f}"


def csv_line(row: Iterable[str]) -> str:
    """Write a line of CSV, without its end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(row)
    return text.getvalue()
