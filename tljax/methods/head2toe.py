"""A head on selected features of all layers: a group lasso scores them, the best are solved for.

Evci et al. 2022, "Head2Toe: utilizing intermediate representations for better transfer learning".
Here the lasso is solved by proximal steps instead of trained, and how hard it selects, how many
features stay and the strength of the final head's penalty are chosen together on folds; each fold
selects by itself: a selection that has seen the labels on which it is judged looks better than it
is.
"""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from tljax.linear.fits import Fits
from tljax.linear.logistic import FOLDS, STRENGTHS, check, fit_logistic, folds_of
from tljax.methods.group_lasso import SHARES, group_lasso

FRACTIONS = (0.01, 0.03, 0.1)  # of all features, that stay
PENALTIES = STRENGTHS[2:11:2]  # of the final head, a decade apart


def unit(rows: np.ndarray, widths: Mapping[str, int]) -> np.ndarray:
    """Divide each layer's part of each row `[N, D]` by its Euclidean norm; zeros stay.

    Layers differ in scale by orders of magnitude, and the penalty would prefer the large ones.
    """
    parts = np.split(rows, np.cumsum(list(widths.values()))[:-1], axis=1)
    norms = [np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
    scaled = [part / np.where(norm > 0, norm, 1) for part, norm in zip(parts, norms, strict=True)]
    return np.concatenate(scaled, axis=1)


def kept(scores: np.ndarray, fraction: float) -> np.ndarray:
    """Return the places of the highest scores `[D]`, this fraction of them, one at least."""
    count = max(1, round(fraction * len(scores)))
    return np.sort(np.argsort(-scores, kind="stable")[:count])


@dataclass(frozen=True)
class Selected:
    """A head on selected features, and how it was chosen.

    `kernel` `[len(places), outputs]` and `bias` apply to the columns `places`, in their order.
    `share`, `fraction` and `strength` are those of the least log loss on folds, `held_out` has that
    loss and the accuracy.
    """

    places: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    share: float
    fraction: float
    strength: float
    held_out: Mapping[str, float]


def fit(
    rows: np.ndarray,
    labels: np.ndarray,
    *,
    classes: int,
    shares: Sequence[float] = SHARES,
    fractions: Sequence[float] = FRACTIONS,
    penalties: Sequence[float] = PENALTIES,
    folds: int = FOLDS,
    seed: int = 0,
    on_share: Callable[[], object] = lambda: None,
) -> Selected:
    """Select features of `rows` `[N, D]` and solve for the head on them.

    `seed` decides the folds alone; `on_share` is called after each strength of the lasso.
    InputError as `fit_logistic`'s.
    """
    check(rows, labels, classes=classes, strengths=penalties)
    fold = folds_of(labels, folds=folds, seed=seed)
    seen = np.concatenate(
        [np.ones((1, len(fold)), bool), np.arange(fold.max() + 1)[:, None] != fold]
    )
    weights = (seen / seen.sum(1, keepdims=True)).astype(rows.dtype)
    penalties = sorted(penalties, reverse=True)
    tried: list[tuple[float, float, float, float, float, np.ndarray]] = []
    for lasso in group_lasso(rows, labels, weights, classes=classes, shares=shares):
        for fraction in fractions:
            whole, *places = (kept(scores, fraction) for scores in lasso.scores)
            losses, right = _held_out(rows, labels, fold, places, classes, penalties)
            at = int(np.argmin(losses))
            tried.append((losses[at], right[at], lasso.share, fraction, penalties[at], whole))
        on_share()
    loss, accuracy, share, fraction, penalty, chosen = min(tried, key=lambda each: each[0])
    kernel, bias, _ = fit_logistic(rows[:, chosen], labels, classes=classes, strengths=[penalty])
    held_out = {"accuracy": float(accuracy), "loss": float(loss)}
    return Selected(chosen, kernel, bias, share, fraction, penalty, held_out)


def _held_out(
    rows: np.ndarray,
    labels: np.ndarray,
    fold: np.ndarray,
    places: Sequence[np.ndarray],
    classes: int,
    penalties: Sequence[float],
) -> tuple[np.ndarray, np.ndarray]:
    """Judge each fold by a head on what the others select: (log loss, accuracy), by penalty."""
    loss, right = np.zeros((2, len(penalties)))
    with jax.enable_x64(True):
        for number, columns in enumerate(places):
            held = fold == number
            alone = np.where(held, 0, -1)
            fits = Fits(rows[:, columns], labels, classes=classes, fold=alone)
            scored = np.array([fits.held_out(solution) for solution in fits.path(penalties)])
            loss, right = loss + held.sum() * scored[:, 1], right + held.sum() * scored[:, 0]
    count = (fold >= 0).sum()
    return loss / count, right / count
