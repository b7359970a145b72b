"""Regression: each example has a number, or several."""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.errors import InputError
from tljax.optim.objective import PLAIN, Objective
from tljax.tasks.task import Measure, Sums, Task


@dataclass(frozen=True)
class Regression(Task):
    """Labels `[N, M]` float32: M numbers of each example, in units of their own.

    The network predicts them standardised, by the `mean` and `deviation` of the training examples:
    a logit of 0 is the mean. The loss of an example is the mean of half the squares. R2 and the
    mean absolute error (MAE, in the number's own unit) are means over the numbers.
    """

    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    name: ClassVar[str] = "regression"
    called: ClassVar[str] = "numbers"
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("R2", scale=1.0, unit="", digits=3, share=False),
        Measure("MAE", scale=1.0, unit="", digits=3, higher=False, share=False),
    )
    totals: ClassVar[tuple[str, ...]] = ("squares", "absolute", "values", "values_squared")

    def label(self, *, classes: int, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
        """Return shape and dtype of one example's numbers."""
        del shape
        return jax.ShapeDtypeStruct((classes,), jnp.float32)

    def checked(self, where: str, labels: np.ndarray, *, count: int) -> np.ndarray:
        """Return labels as float32 `[count, M]`; InputError unless they are finite numbers.

        Labels `[count]` are one number each.
        """
        found = np.asarray(labels)
        if found.dtype.kind not in "fiu" or found.ndim not in (1, 2) or len(found) != count:
            expected = f"numbers for each of {count} images"
            raise InputError(
                f"{where}: labels: expected {expected}, found {found.dtype} {found.shape}"
            )
        if not np.isfinite(found).all():
            raise InputError(f"{where}: labels: expected finite numbers, found NaN or infinite")
        return found.reshape(count, -1).astype(np.float32, copy=False)

    def check(self, where: str, labels: np.ndarray, *, classes: int) -> None:
        """Check that there is a column for each number."""
        if labels.shape[1] != classes:
            raise InputError(
                f"{where}: labels: expected {classes} columns, a number each, "
                f"found {labels.shape[1]}"
            )

    def counts(self, labels: np.ndarray, *, classes: int) -> None:
        """Return None: numbers are of no class."""
        del labels, classes

    def fitted(self, labels: np.ndarray) -> Self:
        """Return the task with mean and deviation of the training labels.

        InputError for a number that is the same in all of them.
        """
        values = labels.astype(np.float64)
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        if not (deviation > 0).all():
            place = int(np.flatnonzero(~(deviation > 0))[0])
            raise InputError(
                f"labels: expected numbers that differ, found {mean[place]:g} in all training "
                f"examples (number {place})"
            )
        return replace(self, mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()))

    def outputs(self, classes: int) -> int:
        """Return the number of outputs, one for each number."""
        return classes

    def settled(self, objective: Objective, labels: np.ndarray, *, classes: int) -> Objective:
        """Return the objective; InputError for what only classes have."""
        del labels, classes
        if objective.class_weights is not None:
            raise InputError("class_weights: a regression has no classes to weigh")
        if objective.label_smoothing:
            raise InputError("label_smoothing: a regression has no labels to smooth")
        return objective

    def losses(self, logits: Array, label: Array, objective: Objective = PLAIN) -> Array:
        """Compute the mean of half the squared standardised errors of each example, `[N]`."""
        del objective
        return 0.5 * jnp.square(logits - self._standardised(label)).mean(axis=-1)

    def constant_loss(
        self, labels: np.ndarray, objective: Objective = PLAIN, *, classes: int
    ) -> float:
        """Compute the loss of predicting the mean of these labels: half their variance."""
        del objective, classes
        return float(self.constant_losses(labels).mean())

    def constant_losses(self, labels: np.ndarray) -> np.ndarray:
        """Compute the losses `[N]` of predicting the mean of these labels."""
        values = self._values(labels)
        return 0.5 * np.square(values - values.mean(axis=0)).mean(axis=1)

    def figures(self, logits: Array, label: Array) -> dict[str, Array]:
        """Compute squares and absolute values of errors, and of the labels, `[N, M]` each.

        All are of standardised numbers.
        """
        values = self._standardised(label)
        error = logits - values
        return {
            "squares": jnp.square(error),
            "absolute": jnp.abs(error),
            "values": values,
            "values_squared": jnp.square(values),
        }

    def kept_figures(self, kept: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Compute squares and absolute values of errors, and of the labels, `[N, M]` each."""
        values = self._values(labels)
        error = kept.astype(np.float64) - values
        return {
            "squares": np.square(error),
            "absolute": np.abs(error),
            "values": values,
            "values_squared": np.square(values),
        }

    def scores(self, sums: Sums) -> dict[str, float]:
        """Compute R2 and the mean absolute error, means over the numbers."""
        r2, mae = self.each(sums)
        return {"R2": float(r2.mean()), "MAE": float(mae.mean())}

    def each(self, sums: Sums) -> tuple[np.ndarray, np.ndarray]:
        """Compute R2 `[M]` and the mean absolute error `[M]` of each number.

        R2 is 1 less the squared errors over those of predicting the mean of these examples; NaN
        where all their labels are equal.
        """
        count = float(sums["count"])
        spread = np.asarray(sums["values_squared"]) - np.square(sums["values"]) / count
        known = spread > 1e-12 * np.maximum(np.asarray(sums["values_squared"]), 1e-12)
        r2 = 1 - np.asarray(sums["squares"]) / np.where(known, spread, 1.0)
        mae = np.asarray(sums["absolute"]) / count * np.asarray(self.deviation)
        return np.where(known, r2, np.nan), mae

    def answers(self, logits: Array) -> Array:
        """Compute the numbers `[N, M]` in their own units."""
        mean, deviation = (jnp.asarray(x, jnp.float32) for x in (self.mean, self.deviation))
        return mean + deviation * logits

    def kept_losses(self, kept: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Compute the mean of half the squared standardised errors of each example, `[N]`."""
        return 0.5 * np.square(kept.astype(np.float64) - self._values(labels)).mean(axis=1)

    def predicted(self, logits: np.ndarray) -> np.ndarray:
        """Turn logits `[..., M]` into numbers in their own units, float64."""
        return np.asarray(self.mean) + np.asarray(self.deviation) * logits.astype(np.float64)

    def _standardised(self, label: Array) -> Array:
        mean, deviation = (jnp.asarray(x, jnp.float32) for x in (self.mean, self.deviation))
        return (label - mean) / deviation

    def _values(self, labels: np.ndarray) -> np.ndarray:
        return (labels.astype(np.float64) - np.asarray(self.mean)) / np.asarray(self.deviation)


REGRESSION = Regression()
