"""Scores of several labels from counts, and the thresholds above which a label is given."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

import numpy as np


def f1(hits: object, given: object, present: object) -> np.ndarray:
    """Compute F1 `[K]` of each class from counts, 2 TP / (2 TP + FP + FN).

    NaN for a class that is neither given nor present.
    """
    right, all_given, all_present = (np.asarray(x, np.float64) for x in (hits, given, present))
    whole = all_given + all_present
    return np.divide(2 * right, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def average_precision(marked: object, others: object) -> np.ndarray:
    """Compute the average precision `[..., K]` from histograms of logits, `[..., K, bins]`.

    `marked` counts the examples that have the class, `others` those that do not; bins rise with the
    logit. It is the mean, over the examples that have the class, of the precision among all that
    rank as high or higher; examples in one bin are taken as ranked in the middle of it. NaN for a
    class that none has.
    """
    hits, misses = (np.asarray(x, np.float64)[..., ::-1] for x in (marked, others))
    both, total = hits + misses, hits.sum(axis=-1)
    right = hits.cumsum(axis=-1) - (hits - 1) / 2
    precision = right / (both.cumsum(axis=-1) - (both - 1) / 2)
    summed = (hits * precision).sum(axis=-1)
    return np.divide(summed, total, out=np.full(total.shape, np.nan), where=total > 0)


def thresholds(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Find the logit `[K]` from which each class has the highest F1 on these examples.

    A label is given above it. It lies half-way between two examples; of equal ones the lowest.
    """
    found: list[float] = []
    for column, present in zip(logits.astype(np.float64).T, labels.T > 0, strict=True):
        values = np.unique(column)
        cuts = np.concatenate([[values[0] - 1], (values[1:] + values[:-1]) / 2])
        given = column[None] > cuts[:, None]
        scores = f1(
            (given & present).sum(axis=1), given.sum(axis=1), np.full(len(cuts), present.sum())
        )
        found.append(float(cuts[scores.argmax()]) if present.any() else np.inf)
    return np.array(found)


def thresholded(
    logits: np.ndarray, labels: np.ndarray, *, folds: int = 5, seed: int = 0
) -> dict[str, np.ndarray]:
    """Make the figures `[N, K]` at thresholds fitted on other examples than they judge.

    The examples are dealt to folds at random; each fold is judged at the thresholds of the rest.
    """
    fold = np.random.default_rng(seed).permutation(len(labels)) % min(folds, len(labels))
    given = np.zeros(labels.shape, bool)
    for place in range(int(fold.max()) + 1):
        held = fold == place
        fitted = thresholds(logits[~held], labels[~held]) if (~held).any() else 0.0
        given[held] = logits[held] > fitted
    present = labels > 0
    return {"hits": given & present, "given": given, "present": present}
