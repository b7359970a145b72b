"""Logistic regression on features, solved rather than trained; its strength by cross-validation."""

# pyright: strict

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import jax
import numpy as np

from tljax.data.folds import stratified
from tljax.errors import InputError
from tljax.files.disk import Json
from tljax.linear.fits import Fits

STRENGTHS = tuple(10.0 ** (-power / 2) for power in range(13))  # 1 to 1e-6, half a decade apart
FOLDS = 5


@dataclass(frozen=True)
class Solution:
    """The strength chosen, and each strength's scores on held-out folds.

    Scores are accuracy, log loss and the log loss's standard error; NaN where nothing could be held
    out. Strengths are in units of `scale` ** 2, the mean squared distance of an example's features
    from their mean.
    """

    strength: float
    scale: float
    folds: int
    strengths: tuple[float, ...]
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]
    standard_error: tuple[float, ...]

    def held_out(self) -> dict[str, float]:
        """Return `{"accuracy", "loss"}` at the chosen strength.

        They are slightly optimistic: the best of many strengths.
        """
        place = self.strengths.index(self.strength)
        return {"accuracy": self.accuracy[place], "loss": self.loss[place]}

    def to_dict(self) -> Json:
        """Return `{"strength", "cross_validation"}` of plain numbers, as a run keeps it."""
        fields = {name: value for name, value in asdict(self).items() if name != "strength"}
        validation = {"held_out": self.held_out(), **fields}
        return {"strength": self.strength, "cross_validation": validation}

    def said(self) -> str:
        """Describe the choice in one line, for people."""
        best = self.held_out()
        return (
            f"strength {self.strength:.1e} of {len(self.strengths)} by {self.folds} folds, "
            f"held out {100 * best['accuracy']:.1f} %, log loss {best['loss']:.3f}"
        )


def fit_logistic(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    classes: int,
    strengths: Sequence[float] = STRENGTHS,
    folds: int = FOLDS,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, Solution]:
    """Fit `features [N, ...]` to `labels [N]`: `(kernel [D, outputs], bias [outputs], Solution)`.

    Both arrays are float32. They minimise the mean log loss + strength / 2 * scale ** 2 * |kernel|
    ** 2, with no penalty on the bias; `outputs` as in `Classification.outputs`. The strength is
    that of the least log loss on `folds` stratified folds, which are all that `seed` decides. A
    class of one example is never held out. InputError for a class without an example, features that
    are not finite, and several strengths where no class has a second example.
    """
    rows, labels = np.asarray(features).reshape(len(labels), -1), np.asarray(labels, np.int32)
    ordered = tuple(sorted(map(float, strengths), reverse=True))
    check(rows, labels, classes=classes, strengths=ordered)
    fold = folds_of(labels, folds=folds, seed=seed, choosing=len(ordered) > 1)
    with jax.enable_x64(True):
        fits = Fits(rows, labels, classes=classes, fold=fold)
        path = list(fits.path(ordered))
        accuracy, loss, error = zip(*[fits.held_out(solution) for solution in path], strict=True)
        best = int(np.argmin(loss))  # the first where all are NaN: then there is only one
        kernel, bias = fits.polished(ordered[best], path[best])
    count = int(fold.max()) + 1
    return kernel, bias, Solution(ordered[best], fits.scale, count, ordered, accuracy, loss, error)


def check(
    rows: np.ndarray, labels: np.ndarray, *, classes: int, strengths: Sequence[float]
) -> None:
    """Raise InputError for what cannot be fitted: see `fit_logistic`."""
    if (outside := (labels < 0) | (labels >= classes)).any():
        raise InputError(
            f"linear: expected labels from 0 to {classes - 1}, found {labels[outside][0]}"
        )
    if lacking := np.flatnonzero(np.bincount(labels, minlength=classes) == 0).tolist():
        raise InputError(
            f"linear: expected an example or more of each of {classes} classes, "
            f"none is of {lacking[0]}"
        )
    if not strengths or not all(0 < strength < math.inf for strength in strengths):
        raise InputError(f"linear: expected positive strengths, found {list(strengths)}")
    if not np.isfinite(rows).all():
        raise InputError("linear: expected finite features, found NaN or infinity")


def folds_of(labels: np.ndarray, *, folds: int, seed: int, choosing: bool = True) -> np.ndarray:
    """Assign each example the fold that holds it out.

    -1 where none may, because its class would then be unknown. InputError where that is so of all,
    and something is to be chosen by them.
    """
    alone = np.bincount(labels)[labels] == 1
    if choosing and alone.all():
        raise InputError(
            "linear: no class has two examples, so none can be held out to choose among strengths"
        )
    return np.where(alone, -1, stratified(labels, k=min(folds, len(labels)), seed=seed))
