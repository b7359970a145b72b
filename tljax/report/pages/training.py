"""Parts of the page on training: cost, curves, rates, range tests, as HTML lines."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tljax.report.pages.sections import html_table, picture, small_print
from tljax.report.pictures import curves, range_tests
from tljax.report.pictures.range_tests import Findings
from tljax.report.tables import costs
from tljax.runs.metrics import Series

Metrics = Mapping[str, Mapping[int, Series]]


def costs_section(results: dict, config: dict) -> list[str]:
    """Tabulate what each rung cost, a row each; empty where none has finished."""
    if not results["rungs"]:
        return []
    plan = config.get("plan")
    rows = costs.rows(results, plan if isinstance(plan, dict) else {})
    return [
        "<h2>What each rung trained, and what it cost</h2>",
        html_table(costs.COLUMNS, rows),
        small_print(costs.NOTE),
        *map(small_print, costs.solutions(results)),
    ]


def curves_section(metrics: Metrics, config: dict, *, workdir: Path) -> list[str]:
    """Show a picture of each rung's curves; explain training accuracy that is below validation."""
    shown = [
        picture(workdir / curves.curves_name(rung), alt=_curves_alt(rung, metrics[rung]))
        for rung in metrics
    ]
    head, below = "<h2>Loss and accuracy against epoch</h2>", training_below(metrics, config)
    explained = [small_print(below)] if below else []
    return [head, *explained, '<div class="pictures">', *shown, "</div>"]


def training_below(metrics: Metrics, config: dict) -> str:
    """Say why training accuracy ends below validation, where augmentation or dropout make it so.

    Empty where it does in no rung whose stage, in `config`'s plan, has either.
    """
    plan = config.get("plan")
    rungs: dict[str, list[str]] = {}
    for rung, seeds in metrics.items():
        ends = [
            series["validation/accuracy"][-1] - series["train/accuracy"][-1]
            for series in seeds.values()
        ]
        if np.mean(ends) > 0 and (why := _harder(plan.get(rung) if plan else None)):
            rungs.setdefault(why, []).append(rung)
    return " ".join(
        f"Training ends below validation in {' and '.join(names)}, and that is no fault: {why}, "
        "and validation images go without."
        for why, names in rungs.items()
    )


def _harder(planned: object) -> str:
    """Say what makes the training images of a stage harder; empty for none."""
    stage = planned.get("stage") if isinstance(planned, dict) else None
    if not isinstance(stage, dict):
        return ""
    augmented = ["augmentation warps the training images"] if stage.get("augment") else []
    dropped = ["dropout leaves out a part of the network"] if stage.get("dropout") else []
    return " and ".join([*augmented, *dropped])


def rates_section(tests: Mapping[str, tuple[Findings, bool]], *, workdir: Path) -> list[str]:
    """Show recorded rates, planned hyperparameters and range tests; empty where none was kept."""
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
    if not any(shown):
        return []
    return ["<h2>Rates and schedules</h2>", '<div class="pictures">', *shown, "</div>"]


def _curves_alt(rung: str, seeds: Mapping[int, Series]) -> str:
    last = max(series["epoch"][-1] for series in seeds.values())
    return (
        f"{rung}: training and validation loss and accuracy up to epoch {last}, {len(seeds)} seeds"
    )


def _test_alt(rung: str, findings: Findings) -> str:
    valleys = [
        f"{finding.suggestions['valley']:.1e}"
        for finding in findings.values()
        if "valley" in finding.suggestions
    ]
    return f"{rung}: loss against learning rate, valley at {', '.join(valleys) or 'no rate'}"
