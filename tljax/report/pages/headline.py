"""The first sentence of a page: how good, of how many photographs, by what, how long, on what."""

import re
from collections.abc import Mapping

from tljax.report.tables import costs, paired, table
from tljax.runs.predictions import Predictions
from tljax.runs.results import by_rung
from tljax.tasks.known import of_results

NOTHING = "No rung has finished yet"


def sentence(
    results: dict, config: dict, predictions: Mapping[str, Predictions], *, split: str
) -> str:
    """Write the result of the rung that is best in validation, judged on `split`.

    Where all its seeds learnt nothing, that comes first.

    '97.4 % of 1,000 validation photographs [97.0, 97.7], by fine-tuning from block 5 (finetune)'.
    """
    rungs = by_rung(results)
    if not rungs:
        return NOTHING
    best = paired.best_rung(results, rungs)
    rows = rungs[best]
    measure = table.measure_of(results)
    average, interval = table.score(rows, measure, split=split)
    count = of_results(results).worded(f"{rows[0][split]['n']:,} {split} photographs")
    ends = f" [{measure.number(interval.low)}, {measure.number(interval.high)}]" if interval else ""
    share = f"{measure.shown(average)} of"
    if not measure.proportion:
        share = f"{measure.name} {measure.shown(average)} on"
    seeds = f", {len(rows)} seeds" if len(rows) > 1 else ""
    plan = config.get("plan")
    how = _how(plan.get(best) if isinstance(plan, dict) else None)
    seconds = sum(row["seconds"] for row in results["rungs"])
    nothing = "" if table.learnt(rows) else "Nothing was learnt: "
    parts = [
        f"{nothing}{share} {count}{ends}, {how} ({best}{seeds})",
        _above_scratch(best, predictions),
        f"{_climbed(rungs, plan)} in {_long(seconds)}{_device(config, results)}",
    ]
    return "; ".join(part for part in parts if part)


def _climbed(rungs: Mapping[str, object], plan: object) -> str:
    """Say how many of the planned rungs a page is of: it is written before all have ended."""
    planned = len(plan) if isinstance(plan, dict) else 0
    if len(rungs) < planned:
        return f"{len(rungs)} of {planned} rungs so far"
    return "all rungs" if len(rungs) > 1 else "trained"


def source(data: dict) -> str:
    """Shorten the name of the data to its last folder: 'folder:/home/me/photos' -> 'photos'."""
    name = str(data.get("source", "unnamed data"))
    return name.rstrip("/").rpartition("/")[2] or name


def _how(planned: object) -> str:
    """Say what a stage did to the base, from its rules in config.json."""
    groups = costs.trained(planned)
    if not isinstance(planned, dict) or not groups:
        return "by its best rung"
    if planned["stage"].get("solver") == "lbfgs":
        return "by logistic regression on the base's features"
    if groups == ["everything"]:
        return "by training every layer"
    layers = [group for group in groups if group != "head"]
    if not layers:
        return "by a new head on the frozen base"
    if all(times is not None for _, times in planned["stage"]["rules"]):
        return "by fine-tuning the whole base"
    return f"by fine-tuning from {re.sub(r'^block(?=[0-9]+$)', 'block ', layers[-1])}"


def _above_scratch(best: str, predictions: Mapping[str, Predictions]) -> str:
    if best == "scratch" or not {best, "scratch"} <= predictions.keys():
        return ""
    difference = paired.compare(best, "scratch", predictions[best], predictions["scratch"])
    if difference is None:
        return ""
    if not difference.shown:
        return "no difference shown from a network from scratch"
    way, measure = "above" if difference.value > 0 else "below", difference.measure
    return f"{measure.number(abs(difference.value))} {measure.points} {way} a network from scratch"


def _long(seconds: float) -> str:
    """Write a time in the unit that people would use."""
    scale, unit = next(
        (pair for pair in ((3600, "hours"), (60, "minutes")) if seconds >= 2 * pair[0]),
        (1, "seconds"),
    )
    return f"{seconds / scale:.{1 if unit == 'hours' else 0}f} {unit}"


def _device(config: dict, results: dict) -> str:
    """Write ' on one NVIDIA H200' or ' on 2 CPU cores'; empty where it was not recorded."""
    found = re.fullmatch(r"(\d+) x (.+)", str(config.get("device", "")))
    if not found:
        return ""
    count, name = found.groups()
    cores = re.search(r"(\d+) cores", str(results.get("environment", {}).get("machine", "")))
    if name == "cpu":
        return f" on {cores[1]} CPU cores" if cores else " on a CPU"
    return f" on {'one' if count == '1' else count} {name}"
