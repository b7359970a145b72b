"""The page of a cross-validation: its seeds, its folds, and how far to trust it."""

from pathlib import Path

from tljax.report.pages import document, page, sections
from tljax.report.pages.text import escape, words
from tljax.report.pictures import confusion, reliability
from tljax.report.tables import table
from tljax.runs import out_of_fold
from tljax.runs.results import Json, by_rung, read_json, read_results
from tljax.tasks.known import of_results

NAME, SPLIT = out_of_fold.NAME, out_of_fold.SPLIT


def write_page(workdir: Path) -> Path:
    """Write `report.html`, and its pictures, from the files of a cross-validation."""
    config, saved = read_json(workdir / "config.json"), read_json(workdir / out_of_fold.FILE)
    results, kept = out_of_fold.read(workdir, read_results(workdir / "results.json"))
    pictures = {"split": SPLIT, "workdir": workdir}
    reliability.write_reliability(NAME, kept[NAME], fitted_on=None, **pictures)
    confusion.write_confusion(NAME, kept[NAME], **pictures)
    title, task = _title(results, saved), of_results(results)
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(page.data_line(results['data'], task))}</p>",
        *_seeds(results),
        *_folds(saved),
        *sections.trust_section(results, kept, fitted_on={}, workdir=workdir),
        *_wrong(saved),
        "<h2>Command</h2>",
        f'<pre class="command"><code>{words(page.command_line(config))}</code></pre>',
    ]
    return document.write(workdir / "report.html", title, [task.worded(line) for line in body])


def _title(results: Json, saved: Json) -> str:
    rows, measure = by_rung(results)[NAME], table.measure_of(results)
    average, interval = table.score(rows, measure, split=SPLIT)
    ends = f" [{measure.number(interval.low)}, {measure.number(interval.high)}]" if interval else ""
    folds = saved["arguments"]["folds"]
    parts = "one photograph held out at a time" if folds == "all" else f"{folds} folds"
    seeds = f", {len(rows)} seeds" if len(rows) > 1 else ""
    return (
        f"{measure.shown(average)}{ends} of {rows[0][SPLIT]['n']:,} photographs, each by a head "
        f"that had not seen it ({parts}{seeds})"
    )


def _seeds(results: Json) -> list[str]:
    measure, cells = table.measure_of(results), list[tuple[str, ...]]()
    for row in by_rung(results)[NAME]:
        average, interval = table.score([row], measure, split=SPLIT)
        ends = table.interval_text(interval, measure)
        cells.append((str(row["seed"]), measure.shown(average), ends))
    head = ("seed", measure.name, "95 % interval")
    return ["<h2>Seeds</h2>", sections.html_table(head, cells)]


def _folds(saved: Json) -> list[str]:
    rows = [
        (str(number), f"{fold['n']:,}", table.percent(fold["accuracy"]))
        for number, fold in enumerate(saved.get("folds") or [])
    ]
    if not rows:  # one photograph a fold, or of an earlier version
        return []
    note = (
        "Each fold by the heads trained without it, the mean over seeds. A fold is small: folds "
        "differ by chance, and their spread is no interval of the mean."
    )
    head = ("fold", "photographs", "accuracy")
    return ["<h2>Folds</h2>", sections.html_table(head, rows), sections.small_print(note)]


def _wrong(saved: Json) -> list[str]:
    rows = [(str(name), table.percent(share)) for name, share in saved["most_often_wrong"]]
    if not rows:
        return []
    return ["<h2>Most often wrong</h2>", sections.html_table(("photograph", "of the runs"), rows)]
