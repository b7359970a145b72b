"""Parts of the page that need predictions: differences, calibration, confusion, as HTML lines."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tljax.report.pages.text import escape
from tljax.report.stats import calibration, scores
from tljax.report.tables import paired, trust
from tljax.runs.predictions import Predictions
from tljax.tasks.classification import Classification
from tljax.tasks.known import of_results

SHOWN = 20  # classes in the table; of more, those that are recognised worst


def difference_lines(
    results: dict, predictions: Mapping[str, Predictions], *, split: str
) -> list[str]:
    """List a sentence for each pair, then what they rest on; empty without a pair."""
    comparisons = paired.differences(results, predictions)
    if not comparisons:
        return []
    shown = [paired.sentence(pair) for pair in comparisons if pair.shown]
    others = [paired.figures(pair) for pair in comparisons if not pair.shown]
    none = [f"no difference shown: {'; '.join(others)}"] if others else []
    return [*shown, *none, of_results(results).worded(paired.basis(comparisons, split))]


def trust_section(
    results: dict,
    predictions: Mapping[str, Predictions],
    *,
    fitted_on: Mapping[str, Predictions],
    workdir: Path,
) -> list[str]:
    """Show calibration and confusion: the best rung's pictures side by side, then the tables."""
    if not predictions or not isinstance(of_results(results), Classification):
        return []
    best = paired.best_rung(results, predictions)
    pictures = [
        picture(
            workdir / "reliability.png",
            alt=f"Reliability diagram of {best}: accuracy against confidence",
        ),
        picture(
            workdir / "confusion.png", alt=f"Confusion of {best}: what each class was taken for"
        ),
    ]
    return [
        "<h2>How far to trust it: calibration and confusion</h2>",
        '<div class="pictures">',
        *pictures,
        "</div>",
        *_calibration(predictions, fitted_on),
        *_classes(predictions[best], best),
    ]


def _calibration(
    predictions: Mapping[str, Predictions], fitted_on: Mapping[str, Predictions]
) -> list[str]:
    rows = [
        trust.calibration_row(name, each, fitted_on=fitted_on.get(name))
        for name, each in predictions.items()
    ]
    how = (
        "fitted on the validation images"
        if fitted_on
        else "fitted on one half of the images and judged on the other"
    )
    note = (
        "ECE: mean gap between confidence and accuracy in 15 bins, biased upward on few images. "
        "Brier: squared distance to the label, 0 to 2. Temperature divides the logits (above 1: "
        f"overconfident); {how}; where those are all right, there is nothing to fit. "
        "In brackets: 95 % over seeds."
        f"{_few(predictions, fitted_on)}"
    )
    task = next(iter(predictions.values())).task
    return [html_table(trust.CALIBRATION, rows), small_print(task.worded(note))]


def _few(predictions: Mapping[str, Predictions], fitted_on: Mapping[str, Predictions]) -> str:
    """Say why there is no ECE or temperature of few images; empty where they are enough."""
    if not any(map(trust.few, [*predictions.values(), *fitted_on.values()])):
        return ""
    return (
        f" Of fewer than {calibration.LEAST} images neither ECE nor a temperature is estimated: "
        "10 images of a perfectly calibrated classifier give an ECE of 0.2, and temperatures from "
        "0.3 to 19."
    )


def _classes(predictions: Predictions, best: str) -> list[str]:
    rows = trust.class_rows(predictions)
    note = (
        f"Of {best}. In brackets: 95 %, over seeds where there are several, else Wilson's over "
        "images. AUC: one class against all."
    )
    if len(rows) > SHOWN:
        worst = np.argsort(_recall(predictions), kind="stable")[:SHOWN]
        rows = [rows[i] for i in worst]
        note = f"The {SHOWN} classes of lowest recall. {note}"
    head = [*map(predictions.task.worded, trust.CLASSES)]
    return [html_table(head, rows), small_print(predictions.task.worded(note))]


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "") -> str:
    """Format a table; on a narrow screen each row becomes a list, labelled from `data-label`.

    On a screen that is wider, but narrower than the table, it scrolls in a box of its own. `kind`
    "texts" aligns to the left.
    """
    top = "".join(f'<th scope="col">{escape(column)}</th>' for column in head)
    lines = []
    for name, *values in rows:
        labelled = zip(head[1:], values, strict=True)
        cells = "".join(
            f'<td data-label="{escape(c)}"><span>{_whole(v)}</span></td>' for c, v in labelled
        )
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    opened = f'<table class="{kind}">' if kind else "<table>"
    body = "\n".join(lines)
    table = f"{opened}<thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table>"
    return f'<div class="table">{table}</div>'


def _whole(value: str) -> str:
    """Escape a cell's text; a percentage stays on one line, and so does an interval at its end."""
    value = value.replace(" %", "\N{NO-BREAK SPACE}%")
    number, bracket, interval = value.partition(" [")
    ends = f" <small>[{escape(interval)}</small>" if interval.endswith("]") else ""
    return escape(number) + ends if ends else escape(number + bracket + interval)


def picture(path: Path, *, alt: str) -> str:
    """Embed a PNG file; empty if it has not been drawn."""
    if not path.is_file():
        return ""
    return embedded(path.read_bytes(), alt=alt)


def embedded(png: bytes, *, alt: str) -> str:
    """Embed a PNG file's bytes in the page."""
    data = base64.b64encode(png).decode()
    return f'<img class="chart" src="data:image/png;base64,{data}" alt="{escape(alt)}">'


def _recall(predictions: Predictions) -> np.ndarray:
    """Compute recall over all runs together, `[classes]`; classes without images last."""
    classes = len(predictions.classes)
    matrices = [
        scores.confusion(predictions.labels, p, classes=classes) for p in predictions.predicted
    ]
    return scores.recall(np.sum(matrices, axis=0))


def small_print(text: str) -> str:
    """Format a paragraph in small print."""
    return f'<p class="note">{escape(text)}</p>'
