"""The table of what each rung trained and what that cost."""

import math
from collections.abc import Sequence
from typing import Any

from tljax.report.stats import intervals
from tljax.report.tables import table
from tljax.runs.results import by_rung, number, typed

COLUMNS = (
    "rung",
    "trains",
    "parameters trained",
    "FLOPs a step",
    "temporary memory",
    "images/s",
    "features, s",
    "compiling, s",
    "training, s",
    "the rest, s",
    "seconds",
)
NOTE = (
    "FLOPs: convolutions and matrix products of one step, by formula. Temporary memory by the "
    "compiler's count, of the program on one device. Seconds: the whole rung. Features: "
    "activations of the frozen base, made, or read where they were kept, with those that later "
    "rungs want; the rest: first parameters, a range test, evaluation. images/s: training alone. "
    "Means over seeds."
)
_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def rows(results: dict, plan: dict) -> list[tuple[str, ...]]:
    """Format the texts of COLUMNS for each rung; what was not measured is "unknown".

    `plan` is the one in config.json.
    """
    return [(name, *_texts(runs, plan.get(name))) for name, runs in by_rung(results).items()]


def trained(planned: object) -> list[str]:
    """List what a stage's rules train, from output to input.

    `planned` is a stage of the plan in config.json, of any earlier version.
    """
    ranks = {pattern: value["rank"] for pattern, value in _rules(planned) if _low_rank(value)}
    return [
        f"{readable(pattern)} at rank {ranks[pattern]}" if pattern in ranks else readable(pattern)
        for pattern in multipliers(planned)
    ]


def multipliers(planned: object) -> dict[str, float]:
    """Map the pattern of each rule that trains to its multiplier."""
    values = {
        pattern: value["rate"] if _low_rank(value) else value for pattern, value in _rules(planned)
    }
    return {
        pattern: float(times) for pattern, times in values.items() if isinstance(times, float | int)
    }


def _rules(planned: object) -> list[tuple[str, Any]]:
    stage = planned.get("stage") if isinstance(planned, dict) else None
    rules = stage.get("rules") if isinstance(stage, dict) else None
    pairs = [rule for rule in rules or [] if isinstance(rule, list | tuple) and len(rule) == 2]
    return [(str(pattern), value) for pattern, value in pairs]


def _low_rank(value: object) -> bool:
    """Test whether a rule's value is that of `optim.rules.LowRank` in config.json."""
    return isinstance(value, dict) and value.keys() == {"rank", "rate"}


def readable(pattern: str) -> str:
    """Shorten a rule's pattern for people.

    'base/block5_.*' -> 'block5', 'head/.*' -> 'head', '.*' -> 'everything'.
    """
    return (pattern.removesuffix(".*").rstrip("/_") or "everything").removeprefix("base/")


def scaled(value: float, unit: str) -> str:
    """Format a number with a metric prefix: 1.23e9, "B" -> '1.23 GB'; NaN -> 'unknown'."""
    if not math.isfinite(value):
        return "unknown"
    scale, letter = next((pair for pair in _SCALES if value >= pair[0]), (1, ""))
    return f"{value / scale:,.3g} {letter}{unit}".rstrip()


def _texts(runs: Sequence[dict], planned: object) -> tuple[str, ...]:
    groups = trained(planned)
    mean = {name: intervals.mean([measured(row, name) for row in runs]) for name in _MEASURES}
    share = runs[0]["trainable_params"] / max(1, runs[0]["total_params"])
    solved = all("strength" in row for row in runs)  # without steps: the rest says nothing
    return (
        _listed(groups) or "unknown",
        f"{runs[0]['trainable_params']:,} ({100 * share:.3g}\N{NO-BREAK SPACE}%)",
        "solved" if solved else scaled(mean["step_flops"], ""),
        "-" if solved else scaled(mean["temporary_bytes"], "B"),
        "-" if solved else rounded(mean["images_per_second"]),
        rounded(mean["features_seconds"]),
        *["-" if solved else rounded(mean[name]) for name in ("compile_seconds", "train_seconds")],
        rounded(max(mean["seconds"] - sum(mean[name] for name in _PARTS), 0.0)),
        rounded(mean["seconds"]),
    )


def _listed(groups: Sequence[str]) -> str:
    """Join groups; of many, which are ordered by layer: 'head, block5 to block1'."""
    many = len(groups) > 3
    return f"{groups[0]}, {groups[1]} to {groups[-1]}" if many else ", ".join(groups)


def solutions(results: dict) -> list[str]:
    """Describe each run that was solved without steps, a line each: strength, held-out score."""
    return [
        _solution(row) for runs in by_rung(results).values() for row in runs if "strength" in row
    ]


def _solution(row: dict) -> str:
    where = f"{row['name']}, seed {row['seed']}"
    validation = typed(row, "cross_validation", dict, where)
    folds = typed(validation, "folds", int, where)
    held = typed(validation, "held_out", dict, where)
    scores = (
        f"{table.percent(number(held, 'accuracy', where))}, loss {number(held, 'loss', where):.3f}"
    )
    strength = number(row, "strength", where)
    return (
        f"{where}: solved at strength {strength:.1e}, chosen by {folds} folds of the training "
        f"images: {scores}."
    )


_PARTS = ("features_seconds", "compile_seconds", "train_seconds")  # of a rung's seconds
_MEASURES = ("step_flops", "temporary_bytes", "images_per_second", *_PARTS, "seconds")


def measured(row: dict, name: str) -> float:
    """Read a measure of a row of results.json; NaN where it is null, absent or not a number."""
    value = row.get(name)
    return float(value) if isinstance(value, float | int) else math.nan


def rounded(value: float) -> str:
    """Format as a whole number from 10 on, otherwise with one decimal."""
    return "unknown" if math.isnan(value) else f"{value:,.{0 if value >= 10 else 1}f}"
