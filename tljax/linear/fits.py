"""Penalised logistic fits to all examples and to all but each fold, as columns of one product.

All in float64.
"""

# pyright: strict
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.tasks.classification import CLASSIFICATION, predicted

LARGEST = 4000  # examples or features up to which factorising is worth its time
NEGLIGIBLE = 1e-10  # of the largest eigenvalue: anything smaller is rounding
ALIKE = 1e-7  # relative to their size: features that differ less are equal up to rounding
OPTIONS: dict[str, Any] = {"maxiter": 2000, "maxcor": 20}


class Fits:
    """All fits under one strength at a time, to be made and used where JAX has 64 bits.

    Features are centred, divided by `scale` and rotated into the span of the examples, which
    changes neither loss nor penalty. A solution is `[directions + 1, fits, outputs]`: the first fit
    is to all examples, the last row is the bias. More than `LARGEST` features of as many examples
    are not rotated, and are kept as float32.
    """

    def __init__(
        self, rows: np.ndarray, labels: np.ndarray, *, classes: int, fold: np.ndarray
    ) -> None:
        """Prepare `rows` `[N, D]` for fits; `fold` `[N]` counts from 0.

        -1 is the fold of an example that is never held out.
        """
        self._labels, self._fold = jnp.asarray(labels), fold
        self._outputs = CLASSIFICATION.outputs(classes)
        self._centre = rows.mean(axis=0, dtype=np.float64)
        small = min(rows.shape) <= LARGEST
        centred = (rows - self._centre).astype(np.float64 if small else np.float32)
        spread = math.sqrt(np.einsum("nd,nd->n", centred, centred).mean(dtype=np.float64))
        alike = spread <= ALIKE * np.linalg.norm(self._centre)
        self.scale = 1.0 if alike else spread
        centred = jnp.asarray(centred * 0 if alike else centred / centred.dtype.type(spread))
        self._basis = _basis(centred) if small else None
        self._rows = centred if self._basis is None else centred @ self._basis
        self._squares = np.square(np.asarray(self._rows)).mean(axis=0, dtype=np.float64)
        seen = fold != np.arange(-1, fold.max() + 1)[:, None]
        seen[0] = True
        self._weights = jnp.asarray(seen / seen.sum(axis=1, keepdims=True))  # [fits, N]

    def path(self, strengths: Sequence[float]) -> Iterator[np.ndarray]:
        """Yield the solution at each strength, each starting from the one before.

        The strongest comes first, because its problem is the smoothest.
        """
        solution = np.zeros((self._rows.shape[1] + 1, len(self._weights), self._outputs))
        for strength in strengths:
            solution = self._solved(strength, solution, tolerance=1e-5)
            yield solution

    def held_out(self, solution: np.ndarray) -> tuple[float, float, float]:
        """Score each example by the fit that has not seen it.

        Returns (accuracy, log loss, its standard error).
        """
        held = np.flatnonzero(self._fold >= 0)
        if not len(held):
            return math.nan, math.nan, math.nan
        right, losses = (
            np.asarray(each)[held]
            for each in _held_out(solution, self._rows, self._labels, self._fold)
        )
        return (
            float(right.mean()),
            float(losses.mean()),
            float(losses.std() / math.sqrt(len(losses))),
        )

    def polished(self, strength: float, solution: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Solve precisely for `(kernel [D, outputs], bias [outputs])` float32 on all examples.

        They apply to the features before centring, scaling and rotation.
        """
        polished = self._solved(strength, solution, tolerance=1e-9)[:, 0]
        inner, bias = polished[:-1], polished[-1]
        kernel = (inner if self._basis is None else np.asarray(self._basis) @ inner) / self.scale
        return kernel.astype(np.float32), (bias - self._centre @ kernel).astype(np.float32)

    def _solved(self, strength: float, start: np.ndarray, *, tolerance: float) -> np.ndarray:
        """Solve under this strength, scaled so that the loss curves about equally everywhere."""
        from scipy.optimize import minimize

        curvature = max(float(_curvature(start, self._rows, self._weights)), 1e-6)
        units = np.sqrt(np.append(curvature * self._squares + strength, curvature))[:, None, None]
        fixed = (jnp.asarray(units), strength, self._rows, self._labels, self._weights)

        def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
            loss, slopes = _loss_and_slopes(flat.reshape(start.shape), *fixed)
            return float(loss), np.asarray(slopes).reshape(-1)

        first, options = (
            (start * units).reshape(-1),
            {**OPTIONS, "gtol": tolerance, "ftol": tolerance**2},
        )
        result = minimize(value, first, jac=True, method="L-BFGS-B", options=options)
        return result.x.reshape(start.shape) / units


def _logits(rows: Array, solution: Array) -> Array:
    """Compute logits `[fits, N, outputs]`."""
    columns = solution[:-1].reshape(rows.shape[1], math.prod(solution.shape[1:])).astype(rows.dtype)
    return (rows @ columns).reshape(len(rows), *solution.shape[1:]).swapaxes(0, 1) + solution[-1][
        :, None
    ]


@jax.jit
@jax.value_and_grad
def _loss_and_slopes(
    scaled: Array, units: Array, strength: float, rows: Array, labels: Array, weights: Array
) -> Array:
    solution = scaled / units
    losses = jax.vmap(CLASSIFICATION.losses, (0, None))(_logits(rows, solution), labels)
    return (weights * losses).sum() + strength / 2 * (solution[:-1] ** 2).sum()


@jax.jit
def _held_out(solution: Array, rows: Array, labels: Array, fold: Array) -> tuple[Array, Array]:
    """Judge each example by the fit that holds it out: (whether it is right, its loss), `[N]`."""
    logits = _logits(rows, solution)[fold + 1, jnp.arange(len(labels))]
    return predicted(logits) == labels, CLASSIFICATION.losses(logits, labels)


@jax.jit
def _curvature(solution: Array, rows: Array, weights: Array) -> Array:
    """Average p (1 - p) over every output and fit."""
    logits = _logits(rows, solution)
    chance = jax.nn.sigmoid(logits) if logits.shape[-1] == 1 else jax.nn.softmax(logits)
    return (weights[..., None] * chance * (1 - chance)).sum(axis=1).mean()


def _basis(rows: Array) -> Array:
    """Find an orthonormal basis `[D, directions]` of the rows' span.

    From the smaller of the rows' two products.
    """
    wide = rows.shape[0] <= rows.shape[1]
    squares, vectors = np.linalg.eigh(np.asarray(rows @ rows.T if wide else rows.T @ rows))
    large = squares > NEGLIGIBLE * max(squares[-1], np.finfo(float).tiny)
    vectors, squares = vectors[:, large], squares[large]
    return rows.T @ jnp.asarray(vectors / np.sqrt(squares)) if wide else jnp.asarray(vectors)
