"""Calibration: whether a classifier's probabilities mean what they say, and temperature scaling."""

from dataclasses import dataclass

import numpy as np

BINS = 15
# Images, of fewer of which neither ECE nor a temperature is estimated. Of a classifier that is
# perfectly calibrated (300 draws, confidences even from 0.5 to 1, or most near 1), 10 images give
# an ECE of 0.16 to 0.25 on average and temperatures from 0.3 to 19; 30 give 0.12 to 0.16, and 0.3
# to 2.5; 100 give 0.07 to 0.09, and 0.6 to 1.4; 1,000 give 0.02 to 0.03, and 0.9 to 1.1.
LEAST = 100
_TEMPERATURES = (1e-2, 1e2)


@dataclass(frozen=True)
class Bins:
    """Images grouped by confidence; bins without images are left out."""

    low: np.ndarray
    high: np.ndarray
    count: np.ndarray
    confidence: np.ndarray  # mean in the bin
    accuracy: np.ndarray


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, *, bins: int = BINS, mass: bool = False
) -> Bins:
    """Compare confidence with accuracy in bins.

    Bins have equal width over 0..1, or, with `mass`, as equal a number of images as possible.
    `probabilities` is `[N, classes]`; confidence is the highest of a row. A value on an edge
    belongs to the bin below it, as in Guo et al. 2017.
    """
    confidence, right = probabilities.max(-1), probabilities.argmax(-1) == labels
    if mass:
        order = np.argsort(confidence, kind="stable")
        place = np.empty(len(order), int)
        place[order] = np.arange(len(order)) * bins // len(order)
        edges = None
    else:
        edges = np.linspace(0, 1, bins + 1)
        place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    full = np.flatnonzero(count)
    sums = (
        np.bincount(place, weights=x, minlength=bins)[full] / count[full]
        for x in (confidence, right)
    )
    if edges is None:
        low, high = (
            np.array([end(confidence[place == i]) for i in full]) for end in (np.min, np.max)
        )
    else:
        low, high = edges[full], edges[full + 1]
    return Bins(low, high, count[full], *sums)


def ece(
    probabilities: np.ndarray, labels: np.ndarray, *, bins: int = BINS, mass: bool = False
) -> float:
    """Compute the expected calibration error: the mean gap of accuracy and confidence over bins.

    Each image weighs its bin's |accuracy - confidence| equally. Naeini et al. 2015 (AAAI), equal
    width as in Guo et al. 2017 (ICML); equal mass as in Nixon et al. 2019 (CVPR workshops). It is
    biased upward where bins hold few images.
    """
    binned = reliability(probabilities, labels, bins=bins, mass=mass)
    return float(
        (binned.count * np.abs(binned.accuracy - binned.confidence)).sum() / binned.count.sum()
    )


def brier(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Compute the Brier score: the mean squared distance to the one-hot label, from 0 to 2.

    Brier 1950, Monthly Weather Review 78:1. For two classes it is twice the square of the error in
    either.
    """
    return float(((probabilities - np.eye(probabilities.shape[-1])[labels]) ** 2).sum(-1).mean())


def nll(logits: np.ndarray, labels: np.ndarray, *, temperature: float = 1.0) -> float:
    """Compute the mean negative log-likelihood of logits `[N, classes]` over the temperature."""
    scaled = logits / temperature
    return float(
        (np.logaddexp.reduce(scaled, axis=-1) - scaled[np.arange(len(labels)), labels]).mean()
    )


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """Find the temperature between 0.01 and 100 with the lowest NLL on these images.

    Guo et al. 2017, section 4.2. None where every image is right: the NLL falls with the
    temperature for ever, and there is nothing to fit.
    """
    if (logits.argmax(-1) == labels).all():
        return None
    from scipy.optimize import minimize_scalar

    # Convex in 1 / T, so there is one minimum in log T too.
    result = minimize_scalar(
        lambda log: nll(logits, labels, temperature=np.exp(log)),
        bounds=np.log(_TEMPERATURES),
        method="bounded",
    )
    return float(np.exp(result.x))


def cross_fitted(
    logits: np.ndarray, labels: np.ndarray, *, seed: int = 0
) -> tuple[np.ndarray, float] | None:
    """Scale each half of the images by the temperature fitted on the other half.

    Returns (logits over temperature, mean temperature); None where a half has nothing to fit. The
    halves are drawn at random, class by class: no image is judged by a temperature that saw it.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    half = np.zeros(len(labels), bool)
    half[order[::2]] = True
    scaled, temperatures = np.empty_like(logits), []
    for judged in (half, ~half):
        if (temperature := fit_temperature(logits[~judged], labels[~judged])) is None:
            return None
        temperatures.append(temperature)
        scaled[judged] = logits[judged] / temperature
    return scaled, float(np.exp(np.mean(np.log(temperatures))))
