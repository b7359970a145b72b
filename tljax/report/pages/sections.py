"""Parts of the page that need predictions: differences, calibration, confusion, as HTML lines."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tljax.report.pages.text import escape
from tljax.report.stats import scores
from tljax.report.tables import paired, trust
from tljax.runs.predictions import Predictions

SHOWN = 20  # classes in the table; of more, those that are recognised worst


def differences_section(
    results: dict, predictions: Mapping[str, Predictions], *, split: str
) -> list[str]:
    """List a sentence for each pair; empty where fewer than two rungs kept their predictions."""
    lines = difference_lines(results, predictions, split=split)
    if not lines:
        return []
    return [
        "<h2>Differences</h2>",
        "<ul>",
        *[f"<li>{escape(line)}</li>" for line in lines[:-1]],
        "</ul>",
        small_print(lines[-1]),
    ]


def difference_lines(
    results: dict, predictions: Mapping[str, Predictions], *, split: str
) -> list[str]:
    """List a sentence for each pair, then what they rest on; empty without a pair."""
    comparisons = paired.differences(results, predictions)
    if not comparisons:
        return []
    images = comparisons[0].interval.count
    if max(each.seeds for each in comparisons) > 1:
        about = "95 % intervals by bootstrap over seeds and images together"
    else:
        about = (
            "95 % intervals by bootstrap over images, which say nothing of the seed; "
            "p by McNemar's exact test"
        )
    basis = f"Paired on the same {images:,} {split} images: {about}."
    return [*map(paired.sentence, comparisons), basis]


def calibration_section(
    results: dict,
    predictions: Mapping[str, Predictions],
    *,
    fitted_on: Mapping[str, Predictions],
    workdir: Path,
) -> list[str]:
    """Tabulate calibration, a row for each rung, with the picture of the best rung."""
    if not predictions:
        return []
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
    )
    best = paired.best_rung(results, predictions)
    return [
        "<h2>Calibration</h2>",
        html_table(trust.CALIBRATION, rows),
        small_print(note),
        picture(
            workdir / "reliability.png",
            alt=f"Reliability diagram of {best}: accuracy against confidence",
        ),
    ]


def confusion_section(
    results: dict, predictions: Mapping[str, Predictions], *, workdir: Path
) -> list[str]:
    """Show the confusion and the per-class scores of the best rung."""
    if not predictions:
        return []
    best = paired.best_rung(results, predictions)
    rows = trust.class_rows(predictions[best])
    note = (
        "In brackets: 95 %, over seeds where there are several, else Wilson's over images. "
        "AUC: one class against all."
    )
    if len(rows) > SHOWN:
        worst = np.argsort(_recall(predictions[best]), kind="stable")[:SHOWN]
        rows = [rows[i] for i in worst]
        note = f"The {SHOWN} classes of lowest recall. {note}"
    return [
        f"<h2>What {escape(best)} confuses</h2>",
        picture(
            workdir / "confusion.png", alt=f"Confusion of {best}: what each class was taken for"
        ),
        html_table(trust.CLASSES, rows),
        small_print(note),
    ]


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
            f'<td data-label="{escape(c)}"><span>{escape(v)}</span></td>' for c, v in labelled
        )
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    opened = f'<table class="{kind}">' if kind else "<table>"
    body = "\n".join(lines)
    table = f"{opened}<thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table>"
    return f'<div class="table">{table}</div>'


def picture(path: Path, *, alt: str) -> str:
    """Embed a PNG file; empty if it has not been drawn."""
    if not path.is_file():
        return ""
    return embedded(path.read_bytes(), alt=alt)


def embedded(png: bytes, *, alt: str) -> str:
    """Embed a PNG file's bytes in the page."""
    return f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="{escape(alt)}">'


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
