"""Classification: each example is of one class. The one place where one logit is two classes."""

# pyright: strict
# pyright: reportMissingTypeStubs=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from dataclasses import dataclass, replace
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from tljax.errors import InputError
from tljax.optim.objective import PLAIN, Objective
from tljax.tasks.task import Measure, Sums, Task

ACCURACY = Measure("accuracy", proportion=True)


@dataclass(frozen=True)
class Classification(Task):
    """Labels `[N]` int32, the places of classes; two classes have one logit, more have one each."""

    name: ClassVar[str] = "classification"
    measures: ClassVar[tuple[Measure, ...]] = (ACCURACY,)
    totals: ClassVar[tuple[str, ...]] = ("correct",)
    least: ClassVar[int] = 2

    def label(self, *, classes: int, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
        """Return shape and dtype of one label."""
        del classes, shape
        return jax.ShapeDtypeStruct((), jnp.int32)

    def checked(self, where: str, labels: np.ndarray, *, count: int) -> np.ndarray:
        """Return labels as int32; InputError unless they are whole numbers `[count]`."""
        found = np.asarray(labels)
        if found.dtype.kind not in "iu" or found.shape != (count,):
            expected = f"whole numbers [{count}], one for each image"
            raise InputError(
                f"{where}: labels: expected {expected}, found {found.dtype} {found.shape}"
            )
        return found.astype(np.int32, copy=False)

    def check(self, where: str, labels: np.ndarray, *, classes: int) -> None:
        """Check that every label is the place of a class; InputError names one that is not."""
        wrong = labels[(labels < 0) | (labels >= classes)]
        if len(wrong):
            expected = f"0 to {classes - 1} for {classes} classes"
            raise InputError(f"{where}: labels: expected {expected}, found {wrong[0]}")

    def counts(self, labels: np.ndarray, *, classes: int) -> np.ndarray:
        """Count the examples of each class."""
        return np.bincount(labels, minlength=classes)

    def outputs(self, classes: int) -> int:
        """Return the number of logits: one for two classes, else one each."""
        if classes < self.least:
            raise InputError(f"a classifier needs 2 classes or more, found {classes}")
        return 1 if classes == 2 else classes

    def settled(self, objective: Objective, labels: np.ndarray, *, classes: int) -> Objective:
        """Return the objective with a number for each class where weights are to be balanced.

        InputError for another number of weights than of classes.
        """
        weights = objective.class_weights
        if weights == "balanced":
            weights = balanced(labels, classes=int(labels.max()) + 1)
            return replace(objective, class_weights=weights)
        if weights is not None and classes and len(weights) != classes:
            raise InputError(
                f"class_weights: expected {classes}, one for each class, found {len(weights)}"
            )
        return objective

    def losses(self, logits: Array, label: Array, objective: Objective = PLAIN) -> Array:
        """Compute cross entropies `[N]` of a sigmoid (`[N, 1]`) or a softmax (`[N, C]`)."""
        smooth = objective.label_smoothing
        if logits.shape[-1] == 1:
            targets = label.astype(logits.dtype) * (1 - smooth) + smooth / 2
            losses = optax.sigmoid_binary_cross_entropy(logits[:, 0], targets)
        elif smooth:
            targets = optax.smooth_labels(jax.nn.one_hot(label, logits.shape[-1]), smooth)
            losses = optax.softmax_cross_entropy(logits, targets)
        else:
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, label)
        if objective.class_weights is None:
            return losses
        return losses * jnp.asarray(objective.class_weights, losses.dtype)[label]

    def constant_loss(
        self, labels: np.ndarray, objective: Objective = PLAIN, *, classes: int
    ) -> float:
        """Compute the least mean loss over `labels` `[N]` of one prediction for every example.

        For the plain objective that is the entropy of the classes' frequencies. Smoothing and
        weights turn each label into a weighted target, and the loss is least at the mean of the
        targets (Gibbs' inequality), which mixing leaves unchanged.
        """
        weights = objective.class_weights
        if weights == "balanced":
            weights = balanced(labels, classes=int(labels.max()) + 1)
        weighted = np.bincount(labels, minlength=classes) / len(labels)
        if weights is not None:
            weighted[: len(weights)] *= weights
        smooth = objective.label_smoothing
        target = (1 - smooth) * weighted + smooth * weighted.sum() / classes
        positive = target[target > 0]
        return float(-(positive * np.log(positive / positive.sum())).sum())

    def figures(self, logits: Array, label: Array) -> dict[str, Array]:
        """Tell of each example whether its class is predicted: "correct" `[N]`."""
        return {"correct": predicted(logits) == label}

    def scores(self, sums: Sums) -> dict[str, float]:
        """Divide the examples that are right by all."""
        return {"accuracy": float(sums["correct"]) / float(sums["count"])}

    def answers(self, logits: Array) -> Array:
        """Compute the probabilities `[N, classes]`."""
        if logits.shape[-1] == 1:
            logits = jnp.concatenate([jnp.zeros_like(logits), logits], axis=-1)
        return jax.nn.softmax(logits, axis=-1)

    def check_kept(self, where: str, kept: np.ndarray, *, classes: int) -> None:
        """Check that there is a logit for each class; two classes may have one or two."""
        if kept.ndim != 2 or kept.shape[1] not in ((1, 2) if classes == 2 else (classes,)):
            raise InputError(
                f"{where}: expected an output of each of {classes} classes, "
                f"found {', '.join(map(str, kept.shape[1:])) or 'no'} outputs"
            )

    def kept_losses(self, kept: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Compute the cross entropy `[N]` of logits `[N, outputs]`, in nats."""
        both = two_sided(kept).astype(np.float64)
        return np.logaddexp.reduce(both, axis=1) - both[np.arange(len(labels)), labels]

    def kept_figures(self, kept: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Tell of each example whether its class is predicted: "correct" `[N]`."""
        return {"correct": predicted_classes(kept) == labels}

    def constant_losses(self, labels: np.ndarray) -> np.ndarray:
        """Compute the losses `[N]` of answering the frequencies of the classes."""
        return -np.log((np.bincount(labels) / len(labels))[labels])


CLASSIFICATION = Classification()


def predicted(logits: Array) -> Array:
    """Predict the class index `[N] int32` from logits."""
    if logits.shape[-1] == 1:
        return (logits[:, 0] > 0).astype(jnp.int32)
    return logits.argmax(-1).astype(jnp.int32)


def predicted_classes(logits: np.ndarray) -> np.ndarray:
    """Pick the class index `[N]` of stored logits `[N, outputs]`."""
    return two_sided(logits).argmax(1)


def two_sided(logits: np.ndarray) -> np.ndarray:
    """Turn logits `[..., outputs]` into `[..., classes]`: one z of a sigmoid becomes (0, z)."""
    if logits.shape[-1] > 1:
        return logits
    return np.concatenate([np.zeros_like(logits), logits], axis=-1)


def balanced(labels: np.ndarray, *, classes: int) -> tuple[float, ...]:
    """Compute weights inverse to the classes' frequencies in `labels` `[N]`.

    Their mean over the examples is 1. InputError for a class without examples.
    """
    counts = np.bincount(labels, minlength=classes)
    if not counts.all():
        raise InputError(
            f"class_weights: class {int(counts.argmin())} has no training example to balance"
        )
    return tuple((len(labels) / (classes * counts)).tolist())
