"""The report of a run: pictures, tables and one page."""

from pathlib import Path

from tljax.report.pages import page, sections
from tljax.report.pictures import (
    confusion,
    curves,
    ladder,
    moved,
    range_tests,
    rates,
    reliability,
    schedules,
    told_numbers,
)
from tljax.report.tables import few, paired, table
from tljax.report.tables.table import markdown_table, text_table
from tljax.runs import metrics as records
from tljax.runs import planned, predictions
from tljax.runs.results import read_json, read_results
from tljax.tasks.classification import Classification
from tljax.tasks.known import of_results
from tljax.tasks.regression import Regression

__all__ = [
    "differences",
    "few_photographs",
    "markdown_table",
    "read_results",
    "text_table",
    "write_report",
]


def differences(workdir: Path) -> list[str]:
    """Compare the pairs of rungs worth comparing, a sentence each, for the tables.

    Empty for a run that kept no predictions.
    """
    results = read_results(Path(workdir) / "results.json")
    split, judged, _ = predictions.held_out(Path(workdir), results)
    return sections.difference_lines(results, judged, split=split)


def few_photographs(workdir: Path) -> list[str]:
    """Say what a run's figures rest on and how to get steadier ones.

    Empty where there are enough photographs.
    """
    folder = Path(workdir)
    return few.lines(read_results(folder / "results.json"), read_json(folder / "config.json"))


def write_report(workdir: Path) -> list[Path]:
    """Draw every picture that a run's files allow, write `report.html`, and return their paths.

    Always `curves_<rung>.png` for each rung and `ladder.png`; where the run kept the data, also
    `moved.png`, `rates.png`, `schedules.png`, `range_test_<rung>.png`, and `reliability.png` and
    `confusion.png` of the best rung.

    Reads `config.json`, `metrics.jsonl`, `results.json`, `schedules.json`, `lr_find*.json` and
    `predictions/`; the page also reads `photographs.npz`. InputError, before anything is written,
    names the file and line that is missing or malformed. A run that is not finished reports what it
    has.
    """
    workdir = Path(workdir)
    plan = read_json(workdir / "config.json").get("plan")
    plan = plan if isinstance(plan, dict) else {}
    results = read_results(workdir / "results.json")
    metrics = records.read_begun(workdir / "metrics.jsonl", results)
    stages, tests = planned.read_planned(workdir), range_tests.read_range_tests(workdir)
    split, judged, fitted_on = predictions.held_out(workdir, results)
    written = curves.write_curves(
        metrics,
        workdir=workdir,
        measure=table.measure_of(results),
        solved=planned.solved(plan),
    )
    if results["rungs"]:
        written.append(ladder.write_ladder(results, workdir=workdir))
    if far := moved.write_moved(results, workdir=workdir):
        written.append(far)
    written += [
        path for path in (rates.write_rates(metrics, stages, plan=plan, workdir=workdir),) if path
    ]
    written += (
        [schedules.write_schedules(stages, workdir=workdir)]
        if any(values for _, values in stages)
        else []
    )
    written += range_tests.write_range_tests(tests, workdir=workdir)
    if judged and isinstance(of_results(results), Classification):
        best = paired.best_rung(results, judged)
        written.append(
            reliability.write_reliability(
                best, judged[best], fitted_on=fitted_on.get(best), split=split, workdir=workdir
            )
        )
        written.append(confusion.write_confusion(best, judged[best], split=split, workdir=workdir))
    if judged and of_results(results).dense:
        best = paired.best_rung(results, judged)
        written.append(confusion.write_pixels(best, judged[best], split=split, workdir=workdir))
    if judged and isinstance(of_results(results), Regression):
        best = paired.best_rung(results, judged)
        drawn = told_numbers.write_numbers(best, judged[best], split=split, workdir=workdir)
        written.append(drawn)
    return [*written, page.write_page(workdir)]
