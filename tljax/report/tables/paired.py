"""Two rungs on the same photographs: whether one is better, by how much, and how surely."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tljax.report.stats.intervals import Interval
from tljax.report.tables import table
from tljax.runs.results import by_rung
from tljax.tasks import bootstrap
from tljax.tasks.classification import ACCURACY
from tljax.tasks.task import Measure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from tljax.runs.predictions import Predictions

DRAWS = 10_000


@dataclass(frozen=True)
class Difference:
    """The score of `rung` minus that of `against`, with its 95 % interval."""

    rung: str
    against: str
    value: float
    interval: Interval
    seeds: int
    p: float | None  # of McNemar's exact test; None over several seeds
    measure: Measure = ACCURACY

    @property
    def better(self) -> bool:
        """Tell whether the rung scores better than the other."""
        return (self.value > 0) == self.measure.higher

    @property
    def shown(self) -> bool:
        """Tell whether the interval excludes 0."""
        return self.interval.low > 0 or self.interval.high < 0


def sentence(difference: Difference) -> str:
    """Write 'finetune beats frozen by 1.8 points [0.9, 2.7]', or that no difference is shown."""
    interval, number, unit = difference.interval, *_written(difference.measure)
    low, high, value = interval.low, interval.high, difference.value
    test = "" if difference.p is None else f", McNemar p {written(difference.p)}"
    if not difference.shown:
        between = f"{difference.rung} against {difference.against}"
        bounds = f"[{number(low)}, {number(high)}]"
        return f"{between}: no difference shown: {number(value, True)} {unit} {bounds}{test}"
    names, ends = (difference.rung, difference.against), (low, high)
    if not difference.better:
        names = names[::-1]
    if value < 0:
        ends = (-high, -low)
    points = f"{number(abs(value))} {unit} [{number(ends[0])}, {number(ends[1])}]"
    return f"{names[0]} beats {names[1]} by {points}{test}"


def _written(measure: Measure) -> "tuple[Callable[..., str], str]":
    """Return what writes a difference, signed on request, and the name of its unit."""
    return lambda x, sign=False: measure.number(x, sign=sign), measure.points


def figures(difference: Difference) -> str:
    """Write 'frozen against features (+0.2 points [-1.0, 1.4])'."""
    interval, number, unit = difference.interval, *_written(difference.measure)
    low, high, value = interval.low, interval.high, difference.value
    pair = f"{difference.rung} against {difference.against}"
    if low == high == 0:
        return f"{pair} (the same on each example)"
    return f"{pair} ({number(value, True)} {unit} [{number(low)}, {number(high)}])"


def basis(pairs: "Sequence[Difference]", split: str) -> str:
    """Say what differences rest on: the images, and the kind of interval."""
    if max(each.seeds for each in pairs) > 1:
        about = "95 % intervals by bootstrap over seeds and images together"
    else:
        test = "; p by McNemar's exact test" if pairs[0].p is not None else ""
        about = f"95 % intervals by bootstrap over images, which say nothing of the seed{test}"
    return f"Paired on the same {pairs[0].interval.count:,} {split} images: {about}."


def differences(results: dict, predictions: "Mapping[str, Predictions]") -> list[Difference]:
    """Compare each rung with the one before it, and the best in validation with scratch.

    Only where predictions of both are kept.
    """
    names = [name for name in by_rung(results) if name in predictions]
    pairs = list(zip(names[1:], names, strict=False))
    if "scratch" in names:
        best = best_rung(results, names)
        if best != "scratch" and (best, "scratch") not in pairs:
            pairs.append((best, "scratch"))
    comparisons = (compare(a, b, predictions[a], predictions[b]) for a, b in pairs)
    return [difference for difference in comparisons if difference is not None]


def best_rung(results: dict, names: "Collection[str]") -> str:
    """Name the rung with the best mean score in validation; of equal ones the first."""
    if len(names) == 1:
        return next(iter(names))
    measure = table.measure_of(results)
    means = {
        name: (1 if measure.higher else -1) * table.score(rows, measure)[0]
        for name, rows in by_rung(results).items()
        if name in names
    }
    return max(means, key=lambda name: means[name] if math.isfinite(means[name]) else -math.inf)


def compare(rung: str, against: str, one: "Predictions", other: "Predictions") -> Difference | None:
    """Compare one rung with another over the seeds that both have; None where they share none."""
    seeds = [seed for seed in one.seeds if seed in other.seeds]
    if not seeds:
        return None
    if not one.task.measures[0].proportion:
        return _scored(rung, against, one, other, seeds)
    right, wrong = (each.right[[each.seeds.index(seed) for seed in seeds]] for each in (one, other))
    interval = paired_bootstrap(right, wrong)
    p = mcnemar(right[0], wrong[0]) if len(seeds) == 1 else None
    return Difference(rung, against, float(right.mean() - wrong.mean()), interval, len(seeds), p)


def _scored(
    rung: str, against: str, one: "Predictions", other: "Predictions", seeds: "Sequence[int]"
) -> Difference:
    """Compare by the task's score: seeds and examples are drawn as in `paired_bootstrap`."""
    task, images = one.task, len(one.labels)
    draws = bootstrap.draws_for(one.figures_of(seeds[0]))
    taken = np.concatenate([np.ones((1, images), int), bootstrap.weights(images, draws=draws)])
    runs: list[np.ndarray] = []
    for seed in seeds:
        scored = [bootstrap.drawn(task, each.figures_of(seed), taken) for each in (one, other)]
        first, second = ([score[task.monitor] for score in scores] for scores in scored)
        runs.append(np.subtract(first, second))
    differences, count = np.array(runs), max(1, len(seeds) - 1)
    rng = np.random.default_rng(1)
    share = np.full(len(seeds), 1 / len(seeds))
    chosen = rng.multinomial(count, share, size=len(taken) - 1)
    drawn = (chosen * differences[:, 1:].T).sum(axis=1) / count
    low, high = (float(end) for end in np.quantile(drawn, (0.025, 0.975)))
    over = "seeds and images" if len(seeds) > 1 else "images"
    interval, value = Interval(low, high, over, images), float(differences[:, 0].mean())
    return Difference(rung, against, value, interval, len(seeds), None, task.measures[0])


def mcnemar(one: np.ndarray, other: np.ndarray) -> float:
    """Test whether two classifiers err equally often, and return the exact two-sided p.

    Both `[N]` bool, right or wrong on the same images. McNemar 1947, Psychometrika 12:153-157: an
    image that only one of them gets right is equally likely to be either's. 1 where there is no
    such image.
    """
    import scipy.stats

    first, second = int((one & ~other).sum()), int((other & ~one).sum())
    return float(scipy.stats.binomtest(first, first + second).pvalue) if first + second else 1.0


def paired_bootstrap(
    one: np.ndarray, other: np.ndarray, *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Bootstrap a 95 % interval for the mean of `one - other` over seeds and images at once.

    A percentile interval; both `[S, N]` bool. Seeds and images are drawn separately and crossed,
    each pair of outcomes staying together: the pigeonhole bootstrap of Owen 2007, Annals of Applied
    Statistics 1:386-411, which errs on the wide side. Of S seeds S - 1 are drawn, because S draws
    would have (S - 1) / S of the variance (McCarthy and Snowden 1985); of one seed, that one.
    Images with the same outcomes are drawn as one group, by a multinomial: the same distribution,
    at the cost of the groups.
    """
    rng = np.random.default_rng(seed)
    difference = one.astype(np.int8) - other.astype(np.int8)
    groups, counts = np.unique(difference, axis=1, return_counts=True)
    runs, images = difference.shape
    images_drawn = rng.multinomial(images, counts / images, size=draws)
    seeds_drawn = rng.multinomial(max(1, runs - 1), np.full(runs, 1 / runs), size=draws)
    means = ((seeds_drawn @ groups) * images_drawn).sum(1) / (max(1, runs - 1) * images)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(low), float(high), "seeds and images" if runs > 1 else "images", images)


def written(p: float) -> str:
    """Write a p value: '0.012', '< 0.001'."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
