"""Several labels: each example has any of the classes, or none of them."""

# pyright: strict
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from tljax.errors import InputError
from tljax.optim.objective import PLAIN, Objective
from tljax.tasks.marks import average_precision, f1, thresholded
from tljax.tasks.task import Measure, Sums, Task

# Of logits less the threshold's: fine where they are near it, coarse far off, to 20 on each side.
EDGES = (0.5 * np.sinh(np.linspace(-4.38, 4.38, 255))).astype(np.float32)


@dataclass(frozen=True)
class Multilabel(Task):
    """Labels `[N, K]` of 0 and 1; each of K classes has a logit and a sigmoid of its own.

    A class's loss counts like any other's, and the loss of an example is their mean. Runs are
    compared by the mean over the classes of average precision (mAP), which needs no threshold: F1
    of a network that gives every label is high. For it logits are counted in `EDGES` bins, so that
    it is a function of sums like any score. F1 is the mean over the classes (macro), where a label
    is given that is likelier than in training at large, or than a half: `shares` are those of the
    training examples that have each class. The best threshold for F1 is half the F1 that it reaches
    (Lipton, Elkan and Naryanaswamy 2014, arXiv 1402.1892): never above a half, and near the share
    for labels that are hard. "F1 fitted" has thresholds fitted on other held-out examples.
    """

    shares: tuple[float, ...] = ()

    name: ClassVar[str] = "multilabel"
    called: ClassVar[str] = "labels"
    measures: ClassVar[tuple[Measure, ...]] = (Measure("mAP"), Measure("F1"))
    extras: ClassVar[tuple[Measure, ...]] = (Measure("F1 fitted"),)
    totals: ClassVar[tuple[str, ...]] = ("hits", "given", "present", "marked", "others")

    def label(self, *, classes: int, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
        """Return shape and dtype of one example's labels."""
        del shape
        return jax.ShapeDtypeStruct((classes,), jnp.uint8)

    def checked(self, where: str, labels: np.ndarray, *, count: int) -> np.ndarray:
        """Return labels as uint8; InputError unless they are `[count, K]` of 0 and 1."""
        found = np.asarray(labels)
        if found.ndim != 2 or len(found) != count or found.dtype.kind not in "biu":
            expected = f"0 or 1 for each of {count} images and each class"
            raise InputError(
                f"{where}: labels: expected {expected}, found {found.dtype} {found.shape}"
            )
        if found.size and not np.isin(found, (0, 1)).all():
            wrong = found[~np.isin(found, (0, 1))][0]
            raise InputError(f"{where}: labels: expected 0 or 1, found {wrong}")
        return found.astype(np.uint8, copy=False)

    def check(self, where: str, labels: np.ndarray, *, classes: int) -> None:
        """Check that there is a column for each class."""
        if labels.shape[1] != classes:
            found = f"{labels.shape[1]}"
            raise InputError(
                f"{where}: labels: expected {classes} columns, a class each, found {found}"
            )

    def counts(self, labels: np.ndarray, *, classes: int) -> np.ndarray:
        """Count the examples that have each class."""
        del classes
        return labels.sum(axis=0, dtype=np.int64)

    def fitted(self, labels: np.ndarray) -> Self:
        """Return the task with the share of the training examples that have each class."""
        return replace(self, shares=tuple(labels.mean(axis=0, dtype=np.float64).tolist()))

    @property
    def thresholds(self) -> np.ndarray:
        """Return the probability `[K]` above which each class is given; a half if not fitted."""
        return (
            np.minimum(np.asarray(self.shares, np.float64), 0.5) if self.shares else np.array(0.5)
        )

    @property
    def _cuts(self) -> np.ndarray:
        """Return the thresholds as logits, float32."""
        p = np.clip(self.thresholds, 1e-6, 0.5)
        return np.log(p / (1 - p)).astype(np.float32)

    def outputs(self, classes: int) -> int:
        """Return the number of logits, one for each class."""
        return classes

    def settled(self, objective: Objective, labels: np.ndarray, *, classes: int) -> Objective:
        """Return the objective with a weight for each class.

        Weights multiply the losses of examples that have the class; balanced, it is the number of
        examples without over that with it.
        """
        weights = objective.class_weights
        if weights == "balanced":
            present = labels.sum(axis=0, dtype=np.float64)
            if not present.all():
                missing = int(present.argmin())
                raise InputError(
                    f"class_weights: class {missing} has no training example to balance"
                )
            absent = np.maximum(len(labels) - present, 1.0)
            return replace(objective, class_weights=tuple((absent / present).tolist()))
        if weights is not None and len(weights) != labels.shape[1]:
            raise InputError(
                f"class_weights: expected {labels.shape[1]}, one for each class, "
                f"found {len(weights)}"
            )
        return objective

    def losses(self, logits: Array, label: Array, objective: Objective = PLAIN) -> Array:
        """Compute the mean over the classes of each example's cross entropies, `[N]`."""
        present, smooth = label.astype(logits.dtype), objective.label_smoothing
        targets = present * (1 - smooth) + smooth / 2
        losses = optax.sigmoid_binary_cross_entropy(logits, targets)
        if objective.class_weights is not None:
            weights = jnp.asarray(objective.class_weights, logits.dtype)
            losses = losses * jnp.where(present > 0, weights, 1)
        return losses.mean(axis=-1)

    def constant_loss(
        self, labels: np.ndarray, objective: Objective = PLAIN, *, classes: int
    ) -> float:
        """Compute the least mean loss of one prediction: the entropy of each class's frequency."""
        weights = self.settled(objective, labels, classes=classes).class_weights
        share = labels.mean(axis=0, dtype=np.float64)
        weighted = share * (1.0 if weights is None else np.asarray(weights))
        smooth = objective.label_smoothing
        yes = weighted * (1 - smooth / 2) + (1 - share) * smooth / 2
        no = (1 - share) * (1 - smooth / 2) + weighted * smooth / 2
        return float(_entropy(yes, no).mean())

    def constant_losses(self, labels: np.ndarray) -> np.ndarray:
        """Compute the losses `[N]` of answering the frequency of each class."""
        share = labels.mean(axis=0, dtype=np.float64)
        with np.errstate(divide="ignore"):
            yes, no = -np.log(share), -np.log(1 - share)
        return np.where(labels > 0, yes, no).mean(axis=1)

    def figures(self, logits: Array, label: Array) -> dict[str, Array]:
        """Tell of each example and class whether it was right, given and present, `[N, K]`.

        And in which bin its logit is, of those that have the class and of the others.
        """
        above, present = logits - self._cuts, label > 0
        given = above > 0
        place = jnp.searchsorted(jnp.asarray(EDGES), above)
        binned = jax.nn.one_hot(place, len(EDGES) + 1, dtype=jnp.int32)
        return {
            "hits": (given & present).astype(jnp.int32),
            "given": given.astype(jnp.int32),
            "present": present.astype(jnp.int32),
            "marked": binned * present[..., None],
            "others": binned * ~present[..., None],
        }

    def kept_figures(self, kept: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Tell of each example what `figures` does."""
        above, present = kept.astype(np.float32) - self._cuts, labels > 0
        given = above > 0
        place = np.searchsorted(EDGES, above)
        binned = place[..., None] == np.arange(len(EDGES) + 1)
        return {
            "hits": given & present,
            "given": given,
            "present": present,
            "marked": binned & present[..., None],
            "others": binned & ~present[..., None],
        }

    def scores(self, sums: Sums) -> dict[str, float]:
        """Compute the means over the classes of average precision and of F1.

        Classes that no example has count in neither.
        """
        present = np.asarray(sums["present"]) > 0
        if not present.any():
            return {"mAP": float("nan"), "F1": float("nan")}
        precision = average_precision(sums["marked"], sums["others"])
        scores = f1(sums["hits"], sums["given"], sums["present"])
        return {"mAP": float(precision[present].mean()), "F1": float(scores[present].mean())}

    def answers(self, logits: Array) -> Array:
        """Compute the probability of each class, `[N, K]`."""
        return jax.nn.sigmoid(logits)

    def kept_losses(self, kept: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Compute the mean over the classes of each example's cross entropies, `[N]`."""
        logits = kept.astype(np.float64)
        return (np.logaddexp(0, logits) - labels * logits).mean(axis=1)

    def judged(self, kept: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Score held-out examples, also at cross-fitted thresholds."""
        scores = super().judged(kept, labels)
        figures, present = thresholded(kept, labels), (labels > 0).any(axis=0)
        fitted = f1(*(figures[name].sum(axis=0) for name in ("hits", "given", "present")))
        more = {"F1 fitted": float(fitted[present].mean())}
        return {"mAP": scores["mAP"], "F1": scores["F1"], **more, **scores}


MULTILABEL = Multilabel()


def _entropy(yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    """Compute the least of `-yes log p - no log(1 - p)`: that at p = yes / (yes + no)."""
    total = yes + no
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(x > 0, -x * np.log(x / total), 0.0) for x in (yes, no)]
    return parts[0] + parts[1]
