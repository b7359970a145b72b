"""Bootstrap a score over examples: intervals of one run, and of the difference of two."""

# pyright: strict

from collections.abc import Mapping

import numpy as np

from tljax.tasks.task import Task

DRAWS, LEAST = 2000, 200
MOST = 2_000_000_000  # products of a bootstrap: of many examples with many figures fewer are drawn


def weights(examples: int, *, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Draw how often each example is taken, `[draws, examples]`; a row adds up to `examples`."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(examples, np.full(examples, 1 / examples), size=draws)


def draws_for(figures: Mapping[str, np.ndarray]) -> int:
    """Return how often to draw from examples with these figures `[N, ...]`."""
    size = sum(each.size for each in figures.values())
    return max(LEAST, min(DRAWS, MOST // max(1, size)))


def drawn(
    task: Task, figures: Mapping[str, np.ndarray], taken: np.ndarray
) -> list[dict[str, float]]:
    """Score each draw `taken` `[draws, N]` of examples with these figures `[N, ...]`."""
    sums = {
        name: np.tensordot(taken.astype(np.float64), each.astype(np.float64), axes=1)
        for name, each in figures.items()
    }
    counts = taken.sum(axis=1).astype(np.float64)
    return [
        task.scores({**{name: each[i] for name, each in sums.items()}, "count": float(counts[i])})
        for i in range(len(taken))
    ]


def intervals(task: Task, kept: np.ndarray, labels: np.ndarray) -> dict[str, list[float]]:
    """Bootstrap a 95 % percentile interval `[low, high]` for each measure of one run.

    It covers the draw of the examples, not that of the seed (Efron 1979, Annals of Statistics
    7:1-26).
    """
    figures = task.kept_figures(kept, labels)
    scores = drawn(task, figures, weights(len(labels), draws=draws_for(figures)))
    return {
        name: [
            float(end) for end in np.nanquantile([each[name] for each in scores], (0.025, 0.975))
        ]
        for name in (scores[0] if scores else {})
        if np.isfinite([each[name] for each in scores]).any()
    }
