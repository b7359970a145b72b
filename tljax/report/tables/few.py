"""Runs with few validation photographs: what figures rest on, and a command for steadier ones."""

import shlex
from pathlib import Path
from typing import Any

from tljax.report.pages.text import escape, words
from tljax.report.stats import intervals as stats
from tljax.report.tables import table
from tljax.runs.results import by_rung
from tljax.tasks.known import of_results

FEW = 100  # a run with fewer validation photographs gets the note
FOLDS = 10
STEADIER = (
    "Steadier: tljax features again, each training photograph judged by a head that never saw it:"
)
# Options taken over from the run, and the defaults that are not repeated.
_VALUES = {
    "task": None,
    "file_column": "",
    "text_column": "",
    "label_columns": [],
    "data_dir": None,
    "decisions": None,
    "validation_fraction": 0.2,
    "weights": None,
    "preset": None,
    "dtype": "float32",
    "class_weights": None,
    "label_smoothing": 0.0,
    "mixup": 0.0,
}
_FLAGS = ("skip_corrupt", "allow_duplicates", "follow_links")


def note(results: dict) -> str:
    """Give each rung's interval over its photographs where they are few, otherwise ""."""
    rungs = by_rung(results)
    if not table.measure_of(results).proportion:
        return ""  # the bootstrap's intervals show how few they are
    counts = {rows[0]["validation"]["n"] for rows in rungs.values()}
    if not counts or min(counts) >= FEW:
        return ""
    intervals = [text for name, rows in rungs.items() if (text := _interval(name, rows))]
    if not intervals:
        return ""
    word = of_results(results).worded
    rests = f"Validation accuracy rests on {min(counts)} {word('photographs')}"
    if max(map(len, rungs.values())) == 1:
        return f"{rests}, and so its intervals are wide."  # the table's are these intervals
    wilson = f"(95 %, Wilson's over {word('images')}, whatever the seeds agree on)"
    return f"{rests}: {', '.join(intervals)} {wilson}."


def command(results: dict, config: dict) -> str:
    """Write a shell command that cross-validates the run's own base on its training photographs.

    At the run's size, to be pasted. Empty where the run's data are not on record, or where it has
    no base: cross-validation trains a head on a base's features.
    """
    arguments = config.get("arguments")
    data, size = results["data"], results["data"].get("size")
    if (
        not isinstance(arguments, dict)
        or not isinstance(arguments.get("data"), str)
        or not isinstance(size, int)
    ):
        return ""
    if arguments.get("weights") is None and arguments["data"] != "critters":
        return ""
    words = ["tljax", "cross-validate", *options(arguments, size=size)]
    words += ["--folds", _folds(data), "--seeds", "3"]
    if isinstance(arguments.get("workdir"), str):
        words += ["--workdir", str(Path(arguments["workdir"]) / "cross_validate")]
    return shlex.join(words)


def options(arguments: dict[str, Any], *, size: int) -> list[str]:
    """List the options by which another command reads what a run read, and from the same base."""
    words = [
        "--data",
        arguments["data"],
        "--size",
        f"{size}",
    ]
    for name, default in _VALUES.items():
        if arguments.get(name) not in (None, default):
            value = arguments[name]
            text = ",".join(map(str, value)) if isinstance(value, list) else f"{value}"
            words += [f"--{name.replace('_', '-')}", text]
    return words + [f"--{name.replace('_', '-')}" for name in _FLAGS if arguments.get(name) is True]


def lines(results: dict, config: dict) -> list[str]:
    """Return the note and the command for a terminal; empty where there are enough photographs."""
    text, steadier = note(results), command(results, config)
    said = of_results(results).worded(STEADIER)
    return [text, *([f"{said}\n  {steadier}"] if steadier else [])] if text else []


def section(results: dict, config: dict) -> list[str]:
    """Format the note and the command as HTML lines; empty where there are enough photographs."""
    text, steadier = note(results), command(results, config)
    code = f'<pre class="command"><code>{words(steadier)}</code></pre>'
    said = of_results(results).worded(STEADIER)
    extra = [f"<p>{escape(said)}</p>", code] if steadier else []
    return [f"<p><b>{escape(text)}</b></p>", *extra] if text else []


def _interval(name: str, rows: list[dict]) -> str:
    average, images = table.score(rows)[0], rows[0]["validation"]["n"]
    interval = stats.wilson_interval(average, images=images)
    return f"{name} {100 * interval.low:.1f} to {100 * interval.high:.1f} %" if interval else ""


def _folds(data: dict[str, Any]) -> str:
    images = data.get("train_images")
    return "all" if isinstance(images, int) and images < FOLDS else f"{FOLDS}"
