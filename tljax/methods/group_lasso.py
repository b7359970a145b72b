"""Logistic regressions under a group lasso over features, solved by proximal steps.

A group is a feature's row of weights over the classes: it is whole or 0. With one logit, that of
two classes, this is the lasso.
"""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.tasks.classification import CLASSIFICATION

SHARES = (0.3, 0.03)  # of the least strength at which no feature is left
STEPS, TOLERANCE = 1000, 1e-3


def proximal(kernel: Array, shrink: Array | float) -> Array:
    """Shorten each feature's row `[..., outputs]` by `shrink`, down to 0: block soft thresholding.

    argmin over v of |v - row|^2 / 2 + shrink |v|. Yuan and Lin 2006, JRSS B 68:49-67.
    """
    norms = jnp.linalg.norm(kernel, axis=-1, keepdims=True)
    return kernel * jnp.maximum(1 - shrink / jnp.where(norms > 0, norms, 1), 0)


@dataclass(frozen=True)
class Lasso:
    """Kernels `[D, fits, outputs]` and biases `[fits, outputs]` under one strength.

    `strength` `[fits]` multiplies the sum of the rows' norms, beside the mean log loss: a `share`
    of the least at which every row is 0. `scores` `[fits, D]` is the relevance of each feature: the
    norm of its row before the last step shortened it. Rows that are not 0 come first, in the order
    of their norms, then the others, by how little keeps them at 0.
    """

    kernel: np.ndarray
    bias: np.ndarray
    share: float
    strength: np.ndarray
    scores: np.ndarray
    steps: int


def group_lasso(
    rows: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    *,
    classes: int,
    shares: Sequence[float] = SHARES,
    tolerance: float = TOLERANCE,
) -> Iterator[Lasso]:
    """Yield the solution at each strength, from the strongest on, each from the one before.

    `rows` `[N, D]`; `weights` `[fits, N]` sum to 1, and are 0 where a fit does not see an example.
    A share is of the least strength at which every row is 0, which each fit has for itself. A fit
    has ended where no row violates its condition by more than `tolerance` of that strength. FISTA
    (Beck and Teboulle 2009) with restarts (O'Donoghue and Candes 2015).
    """
    outputs = CLASSIFICATION.outputs(classes)
    x, y, w = jnp.asarray(rows - rows.mean(0)), jnp.asarray(labels), jnp.asarray(weights)
    kernel = jnp.zeros((x.shape[1], len(w), outputs), x.dtype)
    shape = (len(w), outputs)
    frequencies = np.stack([weights[:, labels == each].sum(1) for each in range(classes)], 1)
    logs = np.log(np.maximum(frequencies, 1e-6))
    bias = jnp.asarray(logs[:, 1:] - logs[:, :1] if outputs == 1 else logs, x.dtype).reshape(shape)
    slopes, _ = _slopes(kernel, bias, x, y, w)
    most = jnp.linalg.norm(slopes, axis=-1).max(0)
    # The log loss curves by a quarter at most for one logit, and by a half for several.
    step = 1 / (_largest(x, w) * (0.25 if outputs == 1 else 0.5))
    for share in sorted(shares, reverse=True):
        kernel, bias, *found = _solved(kernel, bias, x, y, w, share * most, step, tolerance * most)
        scores, taken = map(np.asarray, found)
        strength = np.asarray(share * most)
        yield Lasso(np.asarray(kernel), np.asarray(bias), share, strength, scores.T, int(taken))


@jax.jit
def _slopes(kernel: Array, bias: Array, x: Array, y: Array, w: Array) -> Any:
    def smooth(kernel: Array, bias: Array) -> Array:
        columns = kernel.reshape(x.shape[1], -1)
        logits = (x @ columns).reshape(len(x), *bias.shape).swapaxes(0, 1) + bias[:, None]
        return (w * jax.vmap(CLASSIFICATION.losses, (0, None))(logits, y)).sum()

    return jax.grad(smooth, (0, 1))(kernel, bias)


@jax.jit
def _largest(x: Array, w: Array) -> Array:
    """Find the largest eigenvalue of each fit's second moments, the constant 1 included: `[fits]`.

    By the power method, and a tenth more, as it comes from below.
    """

    def turned(_: int, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        v, c, _norm = state
        there = w.T * (x @ v + c)
        v, c = x.T @ there, there.sum(0)
        norm = jnp.sqrt((v**2).sum(0) + c**2)
        return v / norm, c / norm, norm

    fits = len(w)
    start = (
        jnp.ones((x.shape[1], fits), x.dtype),
        jnp.ones(fits, x.dtype),
        jnp.ones(fits, x.dtype),
    )
    return 1.1 * jax.lax.fori_loop(0, 60, turned, start)[2]


@jax.jit
def _solved(
    kernel: Array,
    bias: Array,
    x: Array,
    y: Array,
    w: Array,
    strength: Array,
    step: Array,
    enough: Array,
) -> tuple[Array, Array, Array, Array]:
    """Take proximal steps until no row's condition is off by more than `enough` `[fits]`."""
    shrink, by = (step * strength)[:, None], step[:, None]

    def going(state: Any) -> Array:
        return (state[-1] > enough).any() & (state[-2] < STEPS)

    def stepped(state: Any) -> Any:
        kernel, bias, ahead, ahead_bias, time, _, count, _ = state
        slopes, slopes_bias = _slopes(ahead, ahead_bias, x, y, w)
        longer = ahead - by * slopes
        new, new_bias = proximal(longer, shrink), ahead_bias - by * slopes_bias
        back, back_bias = ahead - new, ahead_bias - new_bias
        uphill = (back * (new - kernel)).sum((0, 2)) + (back_bias * (new_bias - bias)).sum(1) > 0
        time = jnp.where(uphill, 1.0, time)  # momentum that points uphill is dropped
        later = (1 + jnp.sqrt(1 + 4 * time**2)) / 2
        more = ((time - 1) / later)[:, None]
        off = jnp.maximum(jnp.linalg.norm(back, axis=-1).max(0), jnp.abs(back_bias).max(1)) / step
        return (
            new,
            new_bias,
            new + more * (new - kernel),
            new_bias + more * (new_bias - bias),
            later,
            jnp.linalg.norm(longer, axis=-1),
            count + 1,
            off,
        )

    norms, one = jnp.zeros(kernel.shape[:2], x.dtype), jnp.ones_like(step)
    first = (kernel, bias, kernel, bias, one, norms, 0, jnp.full_like(step, jnp.inf))
    kernel, bias, *_, scores, taken, _ = jax.lax.while_loop(going, stepped, first)
    return kernel, bias, scores, taken
