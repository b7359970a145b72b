"""A table of the numbers of a run with some: how well each is told, with intervals."""

from collections.abc import Callable

import numpy as np

from tljax.runs.predictions import Predictions
from tljax.tasks import bootstrap
from tljax.tasks.regression import Regression

COLUMNS = (
    "number",
    "R2",
    "95 % interval",
    "mean absolute error",
    "95 % interval",
    "error of the mean",
)
NOTE = (
    "Means over seeds; intervals by bootstrap over images, of the mean over seeds. Errors in the "
    "number's own unit. Error of the mean: of always answering the mean of the training images."
)


def rows(predicted: Predictions) -> list[tuple[str, ...]]:
    """Make a row for each number."""
    task = predicted.task
    assert isinstance(task, Regression)
    images = len(predicted.labels)
    taken = np.concatenate([np.ones((1, images)), bootstrap.weights(images)])
    runs = [_each(task, predicted.figures_of(seed), taken) for seed in predicted.seeds]
    r2, mae = (np.mean([run[i] for run in runs], axis=0) for i in (0, 1))  # [draws + 1, M]
    mean = np.abs(predicted.labels - np.asarray(task.mean)).mean(axis=0)
    return [
        (
            name,
            f"{r2[0, i]:.3f}",
            _ends(r2[1:, i], "{:.3f}".format),
            f"{mae[0, i]:.4g}",
            _ends(mae[1:, i], "{:.4g}".format),
            f"{mean[i]:.4g}",
        )
        for i, name in enumerate(predicted.classes)
    ]


def _each(
    task: Regression, figures: dict[str, np.ndarray], taken: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute R2 and the mean absolute error, `[draws, M]` each."""
    sums = {name: taken @ each for name, each in figures.items()}
    count = taken.sum(axis=1)
    pairs = [
        task.each({**{name: each[i] for name, each in sums.items()}, "count": float(count[i])})
        for i in range(len(taken))
    ]
    r2, mae = zip(*pairs, strict=True)
    return np.array(r2), np.array(mae)


def _ends(values: np.ndarray, written: Callable[[float], str]) -> str:
    low, high = np.nanquantile(values, (0.025, 0.975))
    return f"{written(low)} to {written(high)}"
