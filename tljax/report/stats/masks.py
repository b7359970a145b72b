"""Scores of masks with intervals, from the exact confusion of each image."""

from dataclasses import dataclass

import numpy as np

from tljax.tasks.confusion import ious

DRAWS = 2_000


@dataclass(frozen=True)
class ClassScore:
    """A class's intersection over union with its 95 % interval, shares of pixels and images."""

    iou: float
    low: float
    high: float
    share: float  # of the pixels that have a class
    found: float  # of the class's pixels: recall
    right: float  # of the pixels that it was found in: precision
    images: int  # that have some


def class_scores(confusions: np.ndarray, *, draws: int = DRAWS, seed: int = 0) -> list[ClassScore]:
    """Score each class from confusions `[N, C, C]`, summed over images.

    The interval is that of a percentile bootstrap over images: each draw sums the confusions of N
    images, drawn with replacement. NaN where a class is in no draw.
    """
    images, classes = confusions.shape[:2]
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(images, np.full(images, 1 / images), size=draws)
    drawn = (weights @ confusions.reshape(images, -1)).reshape(draws, classes, classes)
    each = ious(drawn)
    total = confusions.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        own = np.diagonal(total)
        found, right = own / total.sum(1), own / total.sum(0)
    whole, counts = ious(total), (confusions.sum(2) > 0).sum(0)
    scores: list[ClassScore] = []
    for place in range(classes):
        column = each[:, place][np.isfinite(each[:, place])]
        low, high = np.quantile(column, (0.025, 0.975)) if len(column) else (np.nan, np.nan)
        scores.append(
            ClassScore(
                float(whole[place]),
                float(low),
                float(high),
                float(total[place].sum() / max(1, total.sum())),
                float(found[place]),
                float(right[place]),
                int(counts[place]),
            )
        )
    return scores


def worst(confusions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Order images `[N]` by the mean intersection over union of their classes, the lowest first.

    Returns the order and the means, `[N]` each.
    """
    with np.errstate(invalid="ignore"):
        each = ious(confusions)
        there = np.isfinite(each)
        mean = np.where(there, each, 0).sum(1) / np.maximum(1, there.sum(1))
    return np.argsort(mean, kind="stable"), mean
