"""A table of the labels of a run with several: how well each is found, over the seeds."""

import numpy as np

from tljax.runs.predictions import Predictions
from tljax.tasks.marks import average_precision, f1, thresholded

COLUMNS = (
    "label",
    "images",
    "average precision",
    "by chance",
    "precision",
    "recall",
    "F1",
    "F1, fitted threshold",
)
NOTE = (
    "Means over seeds. By chance: the share of the images that have the label, which is the "
    "average precision of a random order. A label is given where it is likelier than in training "
    "at large, or than a half; the fitted threshold has the highest F1 on four fifths of the "
    "images, and judges the other fifth."
)


def rows(predicted: Predictions) -> list[tuple[str, ...]]:
    """Make a row for each label, the best found first."""
    summed = {name: each.sum(axis=1, dtype=np.float64) for name, each in predicted.figures.items()}
    hits, given, present = (summed[name] for name in ("hits", "given", "present"))
    fitted = [thresholded(kept, predicted.labels) for kept in predicted.kept]
    columns = {
        "ap": average_precision(summed["marked"], summed["others"]),
        "precision": _share(hits, given),
        "recall": _share(hits, present),
        "f1": f1(hits, given, present),
        "fitted": np.array([_f1(each) for each in fitted]),
    }
    means = {name: column.mean(axis=0) for name, column in columns.items()}
    count = len(predicted.labels)
    return [
        (
            predicted.classes[i],
            f"{present[0, i]:,.0f}",
            _percent(means["ap"][i]),
            _percent(present[0, i] / count),
            *(_percent(means[name][i]) for name in ("precision", "recall", "f1", "fitted")),
        )
        for i in np.argsort(-np.nan_to_num(means["ap"], nan=-1.0), kind="stable")
    ]


def _f1(figures: dict[str, np.ndarray]) -> np.ndarray:
    return f1(*(figures[name].sum(axis=0) for name in ("hits", "given", "present")))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f} %"
