"""The parts of a page that fit the task: labels one by one, numbers one by one."""

from collections.abc import Mapping
from pathlib import Path

from tljax.report.pages import told
from tljax.report.pages.sections import html_table, picture, small_print
from tljax.report.pictures import told_numbers
from tljax.report.tables import each_label, each_number, paired
from tljax.runs.predictions import Predictions
from tljax.tasks.known import of_results
from tljax.tasks.multilabel import Multilabel
from tljax.tasks.regression import Regression


def section(results: dict, predictions: Mapping[str, Predictions], *, workdir: Path) -> list[str]:
    """Show how well the best rung finds each label, or tells each number; empty for others."""
    if not predictions:
        return []
    task, best = of_results(results), paired.best_rung(results, predictions)
    if isinstance(task, Multilabel):
        return [
            f"<h2>Label by label: {best}</h2>",
            html_table(each_label.COLUMNS, each_label.rows(predictions[best])),
            small_print(each_label.NOTE),
            *told.worst(told.read(workdir)),
        ]
    if isinstance(task, Regression):
        return [
            f"<h2>Number by number: {best}</h2>",
            '<div class="pictures">',
            picture(workdir / told_numbers.FILE, alt=f"{best}: numbers told against true ones"),
            "</div>",
            html_table(each_number.COLUMNS, each_number.rows(predictions[best])),
            small_print(each_number.NOTE),
            *told.worst(told.read(workdir)),
        ]
    return []
