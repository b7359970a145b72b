"""The task: what is learnt of an example. The loop, the sweep and the files know only this.

To add a task, write one file beside this one, with a frozen dataclass that subclasses `Task`, and
name it in `known.py`. `classification.py` is the shortest example. What a data set's labels decide,
such as a mean to standardise by, is a field of the dataclass, and `fitted` returns the task with
it. The data set carries its task (`ImageSet.task`); from there it reaches every step, score and
file. A task with another head names it (`head`), and `models/build.py` makes it: a head is called
with the base's output, and with the activations that it names in `reads`.
"""

# pyright: strict

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.errors import InputError
from tljax.optim.objective import PLAIN, Objective

Sums = Mapping[str, np.ndarray | float]  # of figures over examples, with their number as "count"


@dataclass(frozen=True)
class Measure:
    """Describe a score: its name in the files, and how people read it.

    It is shown as `scale` times its value with so many `digits`, then `unit`. A share is from 0 to
    1; a `proportion` is the share of examples that are right, with Wilson's interval.
    """

    name: str
    scale: float = 100.0
    unit: str = " %"
    digits: int = 1
    higher: bool = True  # is better
    share: bool = True
    proportion: bool = False

    def shown(self, value: float) -> str:
        """Write a value as people read it.

        >>> Measure("accuracy").shown(0.9712)
        '97.1 %'
        """
        return "NaN" if math.isnan(value) else f"{self.number(value)}{self.unit}"

    def number(self, value: float, *, sign: bool = False) -> str:
        """Write a value without its unit."""
        return f"{self.scale * value:{'+' if sign else ''}.{self.digits}f}"

    @property
    def points(self) -> str:
        """Name what differences are counted in."""
        return "points" if self.unit == " %" else f"{self.name}{self.unit}"


class Task(Protocol):
    """What is learnt of an example.

    N examples have labels `[N, ...]` of any shape and dtype, and logits `[N, outputs]` or dense
    `[N, H, W, outputs]`. `classes` are the names of what a label tells of: of its classes, of its
    labels, or of its numbers.
    """

    name: ClassVar[str]
    measures: ClassVar[tuple[Measure, ...]]  # the first one is watched
    extras: ClassVar[tuple[Measure, ...]] = ()  # of `judged` alone, which sees all at once
    totals: ClassVar[tuple[str, ...]]  # the names of `figures`
    called: ClassVar[str] = "classes"  # what `classes` are to people
    example: ClassVar[str] = ""  # what an example is to people; an image or photograph without it
    head: ClassVar[str] = "flat"  # in models/build.py
    dense: ClassVar[bool] = False  # whether a label is a map that is warped with its image
    least: ClassVar[int] = 1  # classes

    @property
    def monitor(self) -> str:
        """Name the score that epochs, rungs and runs are compared by."""
        return self.measures[0].name

    @property
    def higher_is_better(self) -> bool:
        """Tell whether more of the monitored score is better."""
        return self.measures[0].higher

    def worded(self, sentence: str) -> str:
        """Return a sentence of ours about images or photographs as one about the task's examples.

        >>> from tljax.tasks.text import TEXT
        >>> TEXT.worded("16 validation images")
        '16 validation texts'
        """
        return re.sub("image|photograph", self.example or r"\g<0>", sentence)

    def rank(self, scores: Mapping[str, float]) -> float:
        """Return the monitored score, or its negative where less is better."""
        score = scores[self.monitor]
        return score if self.higher_is_better else -score

    # Labels.

    def label(self, *, classes: int, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
        """Return shape and dtype of the label of one example of this shape."""
        ...

    def checked(self, where: str, labels: np.ndarray, *, count: int) -> np.ndarray:
        """Return labels in the task's dtype; InputError unless they are one for each example."""
        ...

    def check(self, where: str, labels: np.ndarray, *, classes: int) -> None:
        """Check the values of labels; InputError names one that is none."""
        ...

    def counts(self, labels: np.ndarray, *, classes: int) -> np.ndarray | None:
        """Count the examples of each class `[classes]`; None where labels are of no class."""
        ...

    def fitted(self, labels: np.ndarray) -> Self:
        """Return the task with what it takes from the labels of the training examples."""
        return self

    def warped(self, label: Array, A: Array, b: Array) -> Array:
        """Warp labels with their images, by the maps of `data.augment.matrices`."""
        del A, b
        return label

    # Training.

    def outputs(self, classes: int) -> int:
        """Return the number of logits of an example, or of a pixel."""
        ...

    def settled(self, objective: Objective, labels: np.ndarray, *, classes: int) -> Objective:
        """Return the objective with numbers for what it takes from the training labels.

        InputError for an option that the task does not have.
        """
        ...

    def losses(self, logits: Array, label: Array, objective: Objective = PLAIN) -> Array:
        """Compute the loss `[N]` of each example."""
        ...

    def constant_loss(
        self, labels: np.ndarray, objective: Objective = PLAIN, *, classes: int
    ) -> float:
        """Compute the least mean loss over `labels` of one prediction for every example."""
        ...

    # Scores.

    def figures(self, logits: Array, label: Array) -> dict[str, Array]:
        """Compute figures `[N, ...]` of each example; their sums decide the scores."""
        ...

    def scores(self, sums: Sums) -> dict[str, float]:
        """Compute the measures of summed figures."""
        ...

    def answers(self, logits: Array) -> Array:
        """Compute what people are told: probabilities `[N, classes]`, or numbers."""
        ...

    # What is kept of held-out examples.

    def kept(self, logits: Array, label: Array) -> Array:
        """Compute what is kept `[N, ...]` of each held-out example: all that judges it later."""
        del label
        return logits

    def check_kept(self, where: str, kept: np.ndarray, *, classes: int) -> None:
        """Check the shape of what was kept; InputError, beginning with `where`, for another."""
        expected, found = (self.outputs(classes),), kept.shape[1:]
        if found != expected:
            raise InputError(f"{where}: expected logits of shape {expected}, found {found}")

    def kept_losses(self, kept: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Compute the losses `[N]` float64 of held-out examples."""
        ...

    def kept_figures(self, kept: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the figures `[N, ...]` of held-out examples, to be summed or drawn from."""
        ...

    def constant_losses(self, labels: np.ndarray) -> np.ndarray:
        """Compute the losses `[N]` float64 of the best constant prediction for these labels."""
        ...

    def judged(self, kept: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Score held-out examples: the measures, "loss" and "n", in float64."""
        figures = self.kept_figures(kept, labels)
        summed = {name: each.sum(axis=0, dtype=np.float64) for name, each in figures.items()}
        scores = self.scores({**summed, "count": float(len(labels))})
        losses = self.kept_losses(kept, labels)
        return {**scores, "loss": float(losses.mean()), "n": len(labels)}

    def to_dict(self) -> dict[str, Any]:
        """Return the task in plain JSON, for `known.from_dict`."""
        fields: Any = self
        return {"name": self.name, **asdict(fields)}


def sums(task: Task, logits: Array, label: Array, mask: Array | None = None) -> dict[str, Array]:
    """Sum a batch's figures, without the examples whose `mask` `[N]` is 0."""
    figures = task.figures(logits, label)
    if mask is None:
        return {name: each.sum(axis=0) for name, each in figures.items()}
    return {
        name: jnp.where(mask.reshape(-1, *[1] * (each.ndim - 1)) > 0, each, 0).sum(axis=0)
        for name, each in figures.items()
    }


def unknown(task: Task) -> dict[str, float]:
    """Return the scores of nothing: NaN for the loss and for every measure."""
    return {name: float("nan") for name in ("loss", *(each.name for each in task.measures))}
