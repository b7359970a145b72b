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
_POSITIVE = (0.0, np.inf)
_RANGES = {  # of what the columns show
    "ECE": intervals.SHARE,
    "ECE, equal mass": intervals.SHARE,
    "Brier": (0.0, 2.0),
    "NLL": _POSITIVE,
    "temperature": _POSITIVE,
    "ECE after": intervals.SHARE,
    "NLL after": _POSITIVE,
}
TOO_FEW = f"fewer than {calibration.LEAST} images"
CLASSES = ("class", "images", "precision", "recall", "F1", "AUC")


def tempered(
    run: int, predictions: Predictions, *, fitted_on: Predictions | None
) -> tuple[np.ndarray, float] | None:
    """Divide one run's logits by a temperature: (logits `[N, classes]`, temperature).

    It is never fitted on the images it is judged on: on the run's validation images where the
    judged ones are another split, otherwise cross-fitted on two halves. None where there is
    nothing to fit, because those images are all right, or they are fewer than
    `calibration.LEAST`.
    """
    if few(predictions) or (fitted_on is not None and few(fitted_on)):
        return None
    logits = predictions.logits[run]
    if fitted_on is None:
        return calibration.cross_fitted(logits, predictions.labels)
    temperature = calibration.fit_temperature(fitted_on.logits[run], fitted_on.labels)
    return None if temperature is None else (logits / temperature, temperature)


def few(predictions: Predictions) -> bool:
    """Tell whether the images are too few to say how well probabilities are calibrated."""
    return len(predictions.labels) < calibration.LEAST


def calibration_row(
    name: str, predictions: Predictions, *, fitted_on: Predictions | None
) -> tuple[str, ...]:
    """Format the texts of CALIBRATION: means, over several seeds with their interval.

    The temperature is "nothing to fit" where a run has none (`tempered`); where it is because of
    too few images, that is what it says, and what it says of ECE.
    """
    measured = [_measures(run, predictions, fitted_on) for run in range(len(predictions.seeds))]
    texts = [
        *(
            _text(values, digits=2 if column == "temperature" else 3, within=_RANGES[column])
            for column, values in zip(CALIBRATION[1:], zip(*measured, strict=True), strict=True)
        ),
    ]
    place = CALIBRATION.index("temperature") - 1
    too_few = predictions.task.worded(TOO_FEW)
    few_to_fit = few(predictions) or (fitted_on is not None and few(fitted_on))
    if texts[place] == "-":
        texts[place] = too_few if few_to_fit else "nothing to fit"
    if few(predictions):
        texts[:2] = too_few, too_few
    return name, *texts


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
    fitted = tempered(run, predictions, fitted_on=fitted_on)
    scaled = (np.nan, np.nan, np.nan)
    if fitted:
        after, temperature = fitted
        scaled = (
            temperature,
            calibration.ece(softmax(after), labels),
            calibration.nll(after, labels),
        )
    return (
        calibration.ece(probabilities, labels),
        calibration.ece(probabilities, labels, mass=True),
        calibration.brier(probabilities, labels),
        calibration.nll(logits, labels),
        *scaled,
    )


def _text(values: Sequence[float], *, digits: int, within: tuple[float, float]) -> str:
    if not np.all(np.isfinite(values)):
        return "-"
    interval = intervals.t_interval(values, within=within)
    ends = f" [{interval.low:.{digits}f}, {interval.high:.{digits}f}]" if interval else ""
    return f"{intervals.mean(values):.{digits}f}{ends}"


def _fraction(values: Sequence[float], *, images: int | None) -> str:
    """Format a fraction with its interval.

    With `images`, a single value, or equal ones, get Wilson's interval over so many images.
    """
    if not np.all(np.isfinite(values)):
        return "undefined"
    interval = intervals.t_interval(values, within=intervals.SHARE)
    if len(set(values)) == 1 and images is not None:
        interval = intervals.wilson_interval(values[0], images=images)
    ends = f" [{interval.low:.2f}, {interval.high:.2f}]" if interval else ""
    return f"{intervals.mean(values):.2f}{ends}"
