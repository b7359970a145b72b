"""Parts of the page on training: cost, curves, rates, range tests, as HTML lines."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tljax.report.pages.sections import html_table, picture, small_print
from tljax.report.pictures import curves, range_tests
from tljax.report.pictures.range_tests import Findings
from tljax.report.tables import costs, table
from tljax.runs import planned
from tljax.runs.metrics import Series
from tljax.tasks.classification import ACCURACY
from tljax.tasks.known import of_results
from tljax.tasks.task import Measure

Metrics = Mapping[str, Mapping[int, Series]]
HARDER = {  # what makes training images harder, by field
    "augment": ("augmentation", "augmentation varies the training examples"),
    "dropout": ("dropout", "dropout leaves out a part of the network"),
}


def costs_section(results: dict, config: dict) -> list[str]:
    """Tabulate what each rung cost, a row each; empty where none has finished."""
    if not results["rungs"]:
        return []
    plan, word = config.get("plan"), of_results(results).worded
    rows = costs.rows(results, plan if isinstance(plan, dict) else {})
    return [
        "<h2>What each rung trained, and what it cost</h2>",
        html_table([*map(word, costs.COLUMNS)], rows),
        small_print(word(costs.NOTE)),
        *([small_print("\n".join(solved))] if (solved := costs.solutions(results)) else []),
        "<details><summary>Scores and loss in figures</summary>",
        html_table(*_scores(results)),
        small_print(table.interval_note(results)),
        "</details>",
    ]


def _scores(results: dict) -> tuple[list[str], list[list[str]]]:
    """Return the ladder's table without what the table of costs has."""
    columns = table.columns(results)
    costly = set(map(of_results(results).worded, _OF_COSTS))
    kept = [place for place, column in enumerate(columns) if column not in costly]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in table.cells(results)]


_OF_COSTS = ("trainable of total parameters", "images/s", "seconds")


def progress_section(
    metrics: Metrics,
    config: dict,
    tests: Mapping[str, tuple[Findings, bool]],
    *,
    workdir: Path,
    measure: Measure = ACCURACY,
) -> list[str]:
    """Show each rung's curves, then rates and schedules, which stand beside the only rung's curves.

    Empty where nothing was trained. A score of training that is below validation is explained.
    """
    if not metrics:
        return []
    plan = config.get("plan")
    solved = planned.solved(plan) if isinstance(plan, dict) else set()
    shown = [
        picture(
            workdir / curves.curves_name(rung),
            alt=_curves_alt(rung, metrics[rung], measure, solved=rung in solved),
        )
        for rung in metrics
    ]
    below, others = training_below(metrics, config, measure), _rates(tests, workdir=workdir)
    how = "Blue: training; orange: validation; ring: before the first step."
    scale = " All on one scale." if len(metrics) > 1 else ""
    many = " Thick: mean of the seeds; thin: each; band: lowest to highest."
    seeds = many if max(map(len, metrics.values())) > 1 else ""
    notes = [small_print(how + scale + seeds), *([small_print(below)] if below else [])]
    head = f"<h2>Loss and {measure.name} against epoch</h2>"
    if len(metrics) == 1:
        beside = ["<div>", *others, *notes, "</div>"]
        return [head, '<div class="pictures">', *shown, *beside, "</div>"]
    opened = "<details><summary>Rates, schedules and range tests</summary>"
    details = [opened, '<div class="stacked">', *others, "</div></details>"] if others else []
    return [head, '<div class="small pictures">', *shown, "</div>", *notes, *details]


def training_below(metrics: Metrics, config: dict, measure: Measure = ACCURACY) -> str:
    """Say why the training score ends below validation, where augmentation or dropout make it so.

    Empty where it does in no rung whose stage, in `config`'s plan, has either.
    """
    if not measure.higher:
        return ""
    plan, name = config.get("plan"), measure.name
    rungs: dict[str, list[str]] = {}
    for rung, seeds in metrics.items():
        ends = [
            series[f"validation/{name}"][-1] - series[f"train/{name}"][-1]
            for series in seeds.values()
        ]
        if np.mean(ends) > 0 and (why := _harder(plan.get(rung) if plan else None)):
            rungs.setdefault(why, []).append(rung)
    if not rungs:
        return ""
    where = "; ".join(f"{', '.join(names)} ({why})" for why, names in rungs.items())
    causes = [cause for name, cause in HARDER.values() if any(name in why for why in rungs)]
    return (
        f"Training ends below validation, and that is no fault, in {where}: {', '.join(causes)}, "
        "and validation goes without."
    )


def _harder(planned: object) -> str:
    """Say what makes the training images of a stage harder; empty for none."""
    stage = planned.get("stage") if isinstance(planned, dict) else None
    if not isinstance(stage, dict):
        return ""
    return " and ".join(name for field, (name, _) in HARDER.items() if stage.get(field))


def _rates(tests: Mapping[str, tuple[Findings, bool]], *, workdir: Path) -> list[str]:
    """Embed recorded rates, planned hyperparameters and range tests, as far as they were drawn."""
    shown = [
        picture(
            workdir / "rates.png",
            alt="Learning rate of each layer group at the end of each epoch, by rung",
        ),
        picture(
            workdir / "schedules.png",
            alt="Every hyperparameter against the step, over all stages, as planned",
        ),
        *[
            picture(workdir / range_tests.picture_name(rung), alt=_test_alt(rung, findings))
            for rung, (findings, _) in tests.items()
        ],
    ]
    return [each for each in shown if each]


def _curves_alt(rung: str, seeds: Mapping[int, Series], measure: Measure, *, solved: bool) -> str:
    last = max(series["epoch"][-1] for series in seeds.values())
    until = "as solved" if solved else f"up to epoch {last}"
    what = f"{rung}: training and validation loss and {measure.name}"
    return f"{what} {until}, {len(seeds)} seeds"


def _test_alt(rung: str, findings: Findings) -> str:
    valleys = [
        f"{finding.suggestions['valley']:.1e}"
        for finding in findings.values()
        if "valley" in finding.suggestions
    ]
    return f"{rung}: loss against learning rate, valley at {', '.join(valleys) or 'no rate'}"
