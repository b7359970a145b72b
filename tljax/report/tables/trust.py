"""Tables of calibration and of classes: a row of texts for each rung or class, with intervals."""

from collections.abc import Sequence

import numpy as np

from tljax.report.stats import calibration, intervals, scores
from tljax.runs.predictions import Predictions, softmax

CALIBRATION = (
    "rung",
    "ECE",
    "ECE, equal mass",
    "Brier",
    "NLL",
    "temperature",
    "ECE after",
    "NLL after",
)
CLASSES = ("class", "images", "precision", "recall", "F1", "AUC")


def tempered(
    run: int, predictions: Predictions, *, fitted_on: Predictions | None
) -> tuple[np.ndarray, float]:
    """Divide one run's logits by a temperature: (logits `[N, classes]`, temperature).

    It is never fitted on the images it is judged on: on the run's validation images where the
    judged ones are another split, otherwise cross-fitted on two halves.
    """
    logits = predictions.logits[run]
    if fitted_on is None:
        return calibration.cross_fitted(logits, predictions.labels)
    temperature = calibration.fit_temperature(fitted_on.logits[run], fitted_on.labels)
    return logits / temperature, temperature


def calibration_row(
    name: str, predictions: Predictions, *, fitted_on: Predictions | None
) -> tuple[str, ...]:
    """Format the texts of CALIBRATION: means, over several seeds with their interval."""
    measured = [_measures(run, predictions, fitted_on) for run in range(len(predictions.seeds))]
    return (
        name,
        *(
            _text(values, digits=2 if i == 4 else 3)
            for i, values in enumerate(zip(*measured, strict=True))
        ),
    )


def class_rows(predictions: Predictions) -> list[tuple[str, ...]]:
    """Format the texts of CLASSES, in order of class.

    Recall and precision of a single run have Wilson's interval.
    """
    classes, runs = len(predictions.classes), range(len(predictions.seeds))
    matrices = [
        scores.confusion(predictions.labels, p, classes=classes) for p in predictions.predicted
    ]
    aucs = [scores.aucs(predictions.probabilities[run], predictions.labels) for run in runs]
    measures = [
        np.stack([measure(m) for m in matrices])
        for measure in (scores.precision, scores.recall, scores.f1)
    ]
    of_class, predicted = matrices[0].sum(1), matrices[0].sum(0)
    rows = []
    for i, name in enumerate(predictions.classes):
        counts = (int(predicted[i]), int(of_class[i]), None, None)
        values = [[run[i] for run in measure] for measure in (*measures, aucs)]
        texts = (_fraction(v, images=n) for v, n in zip(values, counts, strict=True))
        rows.append((name, f"{of_class[i]:,}", *texts))
    return rows


def _measures(
    run: int, predictions: Predictions, fitted_on: Predictions | None
) -> tuple[float, ...]:
    logits, labels = predictions.logits[run], predictions.labels
    probabilities = softmax(logits)
    after, temperature = tempered(run, predictions, fitted_on=fitted_on)
    return (
        calibration.ece(probabilities, labels),
        calibration.ece(probabilities, labels, mass=True),
        calibration.brier(probabilities, labels),
        calibration.nll(logits, labels),
        temperature,
        calibration.ece(softmax(after), labels),
        calibration.nll(after, labels),
    )


def _text(values: Sequence[float], *, digits: int) -> str:
    interval = intervals.t_interval(values)
    ends = f" [{interval.low:.{digits}f}, {interval.high:.{digits}f}]" if interval else ""
    return f"{intervals.mean(values):.{digits}f}{ends}"


def _fraction(values: Sequence[float], *, images: int | None) -> str:
    """Format a fraction, its interval cut to 0..1.

    With `images`, a single value gets Wilson's interval over so many images.
    """
    if not np.all(np.isfinite(values)):
        return "undefined"
    interval = intervals.t_interval(values)
    if len(values) == 1 and images is not None:
        interval = intervals.wilson_interval(values[0], images=images)
    ends = f" [{max(0.0, interval.low):.2f}, {min(1.0, interval.high):.2f}]" if interval else ""
    return f"{intervals.mean(values):.2f}{ends}"
