"""Penalised logistic fits to all examples and to all but each fold: as many columns of one product, in float64."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.models.heads import outputs_for
from tljax.optim.objective import per_example_loss, predicted

LARGEST = 4000  # examples, or features, up to which they are factorised: beyond, that takes longer than it saves
NEGLIGIBLE = 1e-10  # of the largest eigenvalue: below it there is rounding and no direction
ALIKE = 1e-7  # of their size: features that differ less are the same but for rounding
OPTIONS: dict[str, Any] = {"maxiter": 2000, "maxcor": 20}


class Fits:
    """The fits, all under one strength at a time. To be made and used where JAX has 64 bits.

    Features are centred, divided by `scale` and rotated into the span of the examples, which changes neither loss nor
    penalty. A solution is `[directions + 1, fits, outputs]`: the first fit is that to all examples, the last row is the
    bias. More than `LARGEST` features of as many examples are not rotated, and are held as float32.
    """

    def __init__(self, rows: np.ndarray, labels: np.ndarray, *, classes: int, fold: np.ndarray) -> None:
        """`rows` `[N, D]`; `fold` `[N]` from 0, or -1 for an example that none holds out."""
        self._labels, self._fold, self._outputs = jnp.asarray(labels), fold, outputs_for(classes)
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
        """The solution at each strength, from the one before; from the strongest, whose problem is the smoothest."""
        solution = np.zeros((self._rows.shape[1] + 1, len(self._weights), self._outputs))
        for strength in strengths:
            solution = self._solved(strength, solution, tolerance=1e-5)
            yield solution

    def held_out(self, solution: np.ndarray) -> tuple[float, float, float]:
        """(accuracy, log loss, its standard error) of each example by the fit that has not seen it."""
        held = np.flatnonzero(self._fold >= 0)
        if not len(held):
            return math.nan, math.nan, math.nan
        right, losses = (np.asarray(each)[held] for each in _held_out(solution, self._rows, self._labels, self._fold))
        return float(right.mean()), float(losses.mean()), float(losses.std() / math.sqrt(len(losses)))

    def polished(self, strength: float, solution: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`(kernel [D, outputs], bias [outputs])` float32 of the fit to all examples, for features as they came."""
        polished = self._solved(strength, solution, tolerance=1e-9)[:, 0]
        inner, bias = polished[:-1], polished[-1]
        kernel = (inner if self._basis is None else np.asarray(self._basis) @ inner) / self.scale
        return kernel.astype(np.float32), (bias - self._centre @ kernel).astype(np.float32)

    def _solved(self, strength: float, start: np.ndarray, *, tolerance: float) -> np.ndarray:
        """The fits under this strength, in units in which the loss is about equally curved in all directions."""
        from scipy.optimize import minimize

        curvature = max(float(_curvature(start, self._rows, self._weights)), 1e-6)
        units = np.sqrt(np.append(curvature * self._squares + strength, curvature))[:, None, None]
        fixed = (jnp.asarray(units), strength, self._rows, self._labels, self._weights)

        def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
            loss, slopes = _loss_and_slopes(flat.reshape(start.shape), *fixed)
            return float(loss), np.asarray(slopes).reshape(-1)

        first, options = (start * units).reshape(-1), {**OPTIONS, "gtol": tolerance, "ftol": tolerance**2}
        found = minimize(value, first, jac=True, method="L-BFGS-B", options=options)
        return found.x.reshape(start.shape) / units


def _logits(rows: Array, solution: Array) -> Array:
    """`[fits, N, outputs]`."""
    columns = solution[:-1].reshape(rows.shape[1], math.prod(solution.shape[1:])).astype(rows.dtype)
    return (rows @ columns).reshape(len(rows), *solution.shape[1:]).swapaxes(0, 1) + solution[-1][:, None]


@jax.jit
@jax.value_and_grad
def _loss_and_slopes(scaled: Array, units: Array, strength: float, rows: Array, labels: Array, weights: Array) -> Array:
    solution = scaled / units
    losses = jax.vmap(per_example_loss, (0, None))(_logits(rows, solution), labels)
    return (weights * losses).sum() + strength / 2 * (solution[:-1] ** 2).sum()


@jax.jit
def _held_out(solution: Array, rows: Array, labels: Array, fold: Array) -> tuple[Array, Array]:
    """(whether it is right, its loss) of each example, `[N]`, by the fit that its fold is held out of."""
    logits = _logits(rows, solution)[fold + 1, jnp.arange(len(labels))]
    return predicted(logits) == labels, per_example_loss(logits, labels)


@jax.jit
def _curvature(solution: Array, rows: Array, weights: Array) -> Array:
    """The mean of p (1 - p), of every output and fit."""
    logits = _logits(rows, solution)
    chance = jax.nn.sigmoid(logits) if logits.shape[-1] == 1 else jax.nn.softmax(logits)
    return (weights[..., None] * chance * (1 - chance)).sum(axis=1).mean()


def _basis(rows: Array) -> Array:
    """The span of the rows: orthonormal `[D, directions]`, by the smaller of their two products."""
    wide = rows.shape[0] <= rows.shape[1]
    squares, vectors = np.linalg.eigh(np.asarray(rows @ rows.T if wide else rows.T @ rows))
    kept = squares > NEGLIGIBLE * max(squares[-1], np.finfo(float).tiny)
    return rows.T @ jnp.asarray(vectors[:, kept] / np.sqrt(squares[kept])) if wide else jnp.asarray(vectors[:, kept])
