"""A classifier's confusion matrix, and each class's precision, recall, F1 and AUC."""

import numpy as np

SURE = 0.9  # the probability of its class from which an image is beyond doubt


def doubtful(likely: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """List the images that are wrong, or whose class has less than SURE.

    `likely` are probabilities `[N, classes]`.
    """
    own = likely[np.arange(len(likely)), labels]
    return np.flatnonzero((own < SURE) | (likely.argmax(-1) != labels))


def confusion(labels: np.ndarray, predicted: np.ndarray, *, classes: int) -> np.ndarray:
    """Count predictions `[classes, classes]` int: row the label, column the prediction."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def precision(matrix: np.ndarray) -> np.ndarray:
    """Compute the share of a class's predictions that are right; NaN where there are none.

    `matrix` is from `confusion`.
    """
    return _share(np.diagonal(matrix), matrix.sum(0))


def recall(matrix: np.ndarray) -> np.ndarray:
    """Compute the share of a class's images that are recognised; NaN for a class without images."""
    return _share(np.diagonal(matrix), matrix.sum(1))


def f1(matrix: np.ndarray) -> np.ndarray:
    """Compute the harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN).

    van Rijsbergen 1979. NaN for an absent class.
    """
    return _share(2 * np.diagonal(matrix), matrix.sum(0) + matrix.sum(1))


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Compute the area under the ROC curve.

    The share of pairs in which the positive scores higher, ties counting half: the Mann-Whitney U
    over the number of pairs (Hanley and McNeil 1982, Radiology 143:29-36). NaN without pairs.
    """
    import scipy.stats

    if positive.all() or not positive.any():
        return float("nan")
    u = scipy.stats.mannwhitneyu(scores[positive], scores[~positive], method="asymptotic").statistic
    return float(u / (positive.sum() * (~positive).sum()))


def aucs(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute each class's AUC against the others from probabilities `[N, classes]`."""
    return np.array([auc(column, labels == i) for i, column in enumerate(probabilities.T)])


def most_confused(matrix: np.ndarray, *, pairs: int) -> list[tuple[int, int]]:
    """List (label, prediction) of the most frequent errors, at most `pairs` of them.

    Of equally frequent errors the first in the matrix comes first.
    """
    errors = matrix.astype(float)
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:pairs]
    return [(int(i) // len(matrix), int(i) % len(matrix)) for i in order if errors.flat[i] > 0]


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
