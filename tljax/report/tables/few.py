"""Few validation photographs: what the figures rest on, and the command that gives steadier ones."""

import shlex
from pathlib import Path
from typing import Any

from tljax.report.pages.text import escape
from tljax.report.stats import intervals
from tljax.report.tables import table
from tljax.runs.results import by_rung

FEW = 100  # fewer validation photographs than this are spoken of
FOLDS = 10
STEADIER = "Steadier, each training photograph judged by a head that never saw it:"
# Options taken over from the run, and what they are where they need not be said.
_VALUES = {"data_dir": None, "validation_fraction": 0.2, "weights": None, "preset": None, "dtype": "float32"}
_FLAGS = ("skip_corrupt", "allow_duplicates")


def note(results: dict) -> str:
    """Say what the figures rest on, where that is little: each rung's interval over its photographs; else nothing."""
    rungs = by_rung(results)
    counts = {rows[0]["validation"]["n"] for rows in rungs.values()}
    if not counts or min(counts) >= FEW:
        return ""
    said = [text for name, rows in rungs.items() if (text := _interval(name, rows))]
    if not said:
        return ""
    return (
        f"Validation accuracy rests on {min(counts)} photographs: {', '.join(said)} "
        "(95 %, Wilson's over images, whatever the seeds agree on)."
    )


def command(results: dict, config: dict) -> str:
    """Cross-validation of the run's own training photographs with its own base and size, to paste.

    Empty where its data are not on record, or it has no base: it is a head on a base's features that is validated.
    """
    arguments = config.get("arguments")
    data, size = results["data"], results["data"].get("size")
    if not isinstance(arguments, dict) or not isinstance(arguments.get("data"), str) or not isinstance(size, int):
        return ""
    if arguments.get("weights") is None and arguments["data"] != "critters":
        return ""
    words = ["python", "-m", "tljax.commands.cross_validate", "--data", arguments["data"], "--size", f"{size}"]
    for name, default in _VALUES.items():
        if arguments.get(name) not in (None, default):
            words += [f"--{name.replace('_', '-')}", f"{arguments[name]}"]
    words += [f"--{name.replace('_', '-')}" for name in _FLAGS if arguments.get(name) is True]
    words += ["--folds", _folds(data), "--seeds", "3"]
    if isinstance(arguments.get("workdir"), str):
        words += ["--workdir", str(Path(arguments["workdir"]) / "cross_validate")]
    return shlex.join(words)


def lines(results: dict, config: dict) -> list[str]:
    """The note and the command, for a terminal; nothing where there are photographs enough."""
    said, steadier = note(results), command(results, config)
    return [said, *([f"{STEADIER}\n  {steadier}"] if steadier else [])] if said else []


def section(results: dict, config: dict) -> list[str]:
    """The same as HTML lines for the page."""
    said, steadier = note(results), command(results, config)
    told = [f"<p>{escape(STEADIER)}</p>", f"<pre><code>{escape(steadier)}</code></pre>"] if steadier else []
    return [f"<p><b>{escape(said)}</b></p>", *told] if said else []


def _interval(name: str, rows: list[dict]) -> str:
    average, images = table.accuracy(rows)[0], rows[0]["validation"]["n"]
    interval = intervals.wilson_interval(average, images=images)
    return f"{name} {100 * interval.low:.1f} to {100 * interval.high:.1f} %" if interval else ""


def _folds(data: dict[str, Any]) -> str:
    images = data.get("train_images")
    return "all" if isinstance(images, int) and images < FOLDS else f"{FOLDS}"
