"""Labels that are probably wrong, by confident learning: pure functions of probabilities.

Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset labels",
JAIR 70:1373-1411. The probabilities must be out of fold: a network that has trained on a wrong
label has learnt it.
"""

# pyright: strict

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Suspects:
    """The suspects, the most suspicious first.

    `places` `[K]` of the examples; `suggested` `[K]`, the class each probably has.
    """

    places: np.ndarray
    suggested: np.ndarray


def thresholds(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute each class's threshold `[classes]`: the mean probability of its own examples.

    Equation 2 of the paper; 1 for a class without an example.
    """
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    sums = np.bincount(labels, weights=own, minlength=classes)
    counts = np.bincount(labels, minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)


def joint(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count examples by label and by the class that they confidently are: int `[classes, classes]`.

    Equation 1: of the classes whose threshold an example reaches, the likeliest; an example that
    reaches none is not counted.
    """
    sure = _sure(probabilities, labels)
    classes = probabilities.shape[1]
    counted = labels[sure >= 0] * classes + sure[sure >= 0]
    return np.bincount(counted, minlength=classes**2).reshape(classes, classes)


def suspects(probabilities: np.ndarray, labels: np.ndarray) -> Suspects:
    """List the examples that confidently are of another class than their label.

    `probabilities` `[N, classes]` are out of fold. Ranked by the normalised margin, the probability
    of the label minus that of the suggested class, the lowest first.
    """
    sure = _sure(probabilities, labels)
    places = np.flatnonzero((sure >= 0) & (sure != labels))
    margin = probabilities[places, labels[places]] - probabilities[places, sure[places]]
    order = places[np.argsort(margin, kind="stable")]
    return Suspects(order, sure[order])


def precision_at(ranked: np.ndarray, wrong: np.ndarray, *, k: int) -> float:
    """Compute the share of wrong labels among the first `k` of `ranked`; `wrong` is bool `[N]`.

    Where fewer are ranked, the missing count as right labels.
    """
    return float(wrong[ranked[:k]].sum() / k)


def _sure(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the class that each example confidently is, `[N]`; -1 for none."""
    reached = probabilities >= thresholds(probabilities, labels)
    likeliest = np.where(reached, probabilities, -1.0).argmax(1)
    return np.where(reached.any(1), likeliest, -1)
