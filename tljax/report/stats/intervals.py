"""Means and intervals, over seeds or over images."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Interval:
    """An interval and what it is over: `count` "seeds" or `count` "images"."""

    low: float
    high: float
    over: str
    count: int


def mean(values: Sequence[float]) -> float:
    """Compute the arithmetic mean; NaN where any value is.

    A diverged seed is never dropped silently.
    """
    return float(np.mean(values)) if len(values) else math.nan


def sample_std(values: Sequence[float]) -> float:
    """Compute the sample standard deviation (n - 1 below the sum); NaN for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


REAL = (-math.inf, math.inf)
SHARE = (0.0, 1.0)  # of an accuracy or any other fraction


def t_interval(
    values: Sequence[float], *, within: tuple[float, float] = REAL, confidence: float = 0.95
) -> Interval | None:
    """Compute Student's interval for the mean over seeds, mean +- t(n - 1) s / sqrt(n).

    Student 1908. It is cut to the values that there can be, `within`, which costs no coverage. None
    where it is undefined: one seed says nothing about the spread, and NaN or infinity has no mean.
    """
    if len(values) < 2 or not np.all(np.isfinite(values)):
        return None
    import scipy.stats

    n = len(values)
    half = scipy.stats.t.ppf(0.5 + confidence / 2, df=n - 1) * sample_std(values) / math.sqrt(n)
    centre = mean(values)
    low, high = max(within[0], float(centre - half)), min(within[1], float(centre + half))
    return Interval(low, high, over="seeds", count=n)


def wilson_interval(accuracy: float, *, images: int, confidence: float = 0.95) -> Interval | None:
    """Compute the score interval for one run's accuracy, a fraction, over validation images.

    Wilson 1927, JASA 22:209-212; written as method 3 of Newcombe 1998, Statistics in Medicine
    17:857-872. It covers the draw of the images, not the draw of the seed. None without images or
    accuracy.
    """
    if images < 1 or not math.isfinite(accuracy):
        return None
    import scipy.stats

    z = float(scipy.stats.norm.ppf(0.5 + confidence / 2))
    centre = accuracy + z * z / (2 * images)
    half = z * math.sqrt(accuracy * (1 - accuracy) / images + z * z / (4 * images**2))
    scale = 1 + z * z / images
    # Rounding alone can step over the ends, at accuracies of exactly 0 and 1.
    return Interval(
        max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale), "images", images
    )


def bootstrap_interval(
    values: np.ndarray, *, draws: int = 10_000, seed: int = 0
) -> Interval | None:
    """Bootstrap a 95 % BCa interval for the mean of one run's values over images `[N]`.

    Efron 1987, JASA 82:171-185. It covers the draw of the images, as Wilson's does, for a measure
    that is not a proportion. None where all values are equal or any is not finite.
    """
    if len(values) < 2 or not np.all(np.isfinite(values)) or np.ptp(values) == 0:
        return None
    import scipy.stats

    ends = scipy.stats.bootstrap(
        (values,),
        np.mean,
        vectorized=True,
        n_resamples=draws,
        batch=max(1, 10**7 // len(values)),
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(ends.low), float(ends.high), "images", len(values))


def accuracy_interval(accuracies: Sequence[float], *, images: int) -> Interval | None:
    """Compute an interval over seeds where they differ, otherwise Wilson's over the images.

    Seeds that agree say nothing of the spread, as one seed does. Within 0 and 1.
    """
    if len(set(accuracies)) == 1:
        return wilson_interval(accuracies[0], images=images)
    return t_interval(accuracies, within=SHARE)


def together(
    seeds: Mapping[int, dict[str, np.ndarray]], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Align seeds on one grid: epochs i64 [E] and values f64 [S, E].

    NaN where a seed has no such epoch.
    """
    epochs = np.unique(np.concatenate([series["epoch"] for series in seeds.values()]))
    values = np.full((len(seeds), len(epochs)), np.nan)
    for row, series in zip(values, seeds.values(), strict=True):
        row[np.searchsorted(epochs, series["epoch"])] = series[name]
    values[~np.isfinite(values)] = np.nan
    return epochs, values
