"""A self-contained HTML page that compares runs on the same photographs."""

from collections.abc import Sequence
from pathlib import Path

from tljax.report.pages import document, page
from tljax.report.pages.runs import Run, difference_lines, read_runs, rungs, unequal
from tljax.report.pages.sections import embedded, html_table, small_print
from tljax.report.pages.text import escape
from tljax.report.pictures import runs_pictures
from tljax.report.stats import intervals
from tljax.report.tables import costs, table
from tljax.runs import out_of_fold, planned
from tljax.runs.results import by_rung
from tljax.tasks.known import of_results

COLUMNS = (
    "rung",
    "run",
    "seeds",
    "score",
    "95 % interval",
    "parameters trained",
    "images/s",
    "seconds",
)


def write_comparison(workdirs: Sequence[Path], *, out: Path) -> Path:
    """Write the page from the runs' own files.

    InputError, before anything is written, as in `runs.read_runs`.
    """
    split, runs = read_runs(workdirs)
    names = ", ".join(run.name for run in runs)
    data = runs[0].results["data"]
    body = [
        f"<h1>{escape(f'Runs compared: {names}')}</h1>",
        f"<p>{escape(page.data_line(data, of_results(runs[0].results)))}</p>",
        *[_command(run) for run in runs],
        "<h2>Rungs side by side</h2>",
        *_accuracies(runs, split),
        *_differences(runs, split),
        *_curves(runs),
        *_unequal(runs),
    ]
    return document.write(out, f"Runs compared: {names}", body)


def _command(run: Run) -> str:
    about = f"{run.name}: {run.config.get('device', 'device not recorded')}"
    return f"{small_print(about)}<pre><code>{escape(page.command_line(run.config))}</code></pre>"


def _accuracies(runs: Sequence[Run], split: str) -> list[str]:
    rows = [
        _row(rung, run, split)
        for rung in rungs(runs)
        for run in runs
        if rung in by_rung(run.results)
    ]
    if not rows:
        return ["<p>No rung has finished yet.</p>"]
    columns = COLUMNS[: len(rows[0])]
    texts = (f"{row[0]} of {row[1]} {row[3]}" for row in rows)
    name = table.measure_of(runs[0].results).name
    alt = f"{name[0].upper()}{name[1:]} of each rung and run, mean over seeds: {', '.join(texts)}"
    return [
        embedded(runs_pictures.accuracies(runs, split=split), alt=alt),
        html_table([name if column == "score" else column for column in columns], rows),
    ]


def _row(rung: str, run: Run, split: str) -> tuple[str, ...]:
    rows = by_rung(run.results)[rung]
    measure = table.measure_of(run.results)
    average, interval = table.score(rows, measure, split=split)
    scored = (
        table.marked(rung, rows),
        run.name,
        f"{len(rows)}",
        measure.shown(average),
        table.interval_text(interval, measure),
    )
    if split == out_of_fold.SPLIT:  # many small heads in one program, without a cost of their own
        return scored
    means = {
        name: intervals.mean([row[name] for row in rows])
        for name in ("images_per_second", "seconds")
    }
    return (
        *scored,
        f"{rows[0]['trainable_params']:,}",
        *(costs.rounded(value) for value in means.values()),
    )


def _differences(runs: Sequence[Run], split: str) -> list[str]:
    lines = difference_lines(runs)
    without = [run.name for run in runs if not run.predictions]
    if without:
        lines.append(f"{', '.join(without)}: no predictions were kept, so nothing is paired")
    if not lines:
        return []
    images = next((len(one.labels) for run in runs for one in run.predictions.values()), 0)
    about = (
        f"Paired on the same {images:,} {split} images, over the seeds that both runs have: "
        "95 % intervals by bootstrap over seeds and images together; of one seed over images, "
        "with p by McNemar's exact test. Not corrected for the number of comparisons."
    )
    return [
        "<h2>Differences</h2>",
        "<ul>",
        *[f"<li>{escape(line)}</li>" for line in lines],
        "</ul>",
        small_print(of_results(runs[0].results).worded(about)),
    ]


def _curves(runs: Sequence[Run]) -> list[str]:
    named = dict.fromkeys(
        rung
        for run in runs
        for rung in run.metrics
        if rung not in planned.solved(run.config.get("plan") or {})
    )
    shown = [
        embedded(
            runs_pictures.curves(rung, runs),
            alt=f"{rung}: validation loss and {table.measure_of(runs[0].results).name} of each run",
        )
        for rung in named
    ]
    return (
        ["<h2>Curves over each other</h2>", '<div class="pictures">', *shown, "</div>"]
        if shown
        else []
    )


def _unequal(runs: Sequence[Run]) -> list[str]:
    rows = unequal({run.name: run.config for run in runs})
    head = "<h2>What differs in their configuration</h2>"
    if not rows:
        return [head, "<p>Nothing but the command.</p>"]
    return [head, html_table(("setting", *(run.name for run in runs)), rows, kind="texts")]
