"""A self-contained HTML page about a run: no script, no request, for phones and dark screens."""

import json
import shlex
from pathlib import Path

from tljax.data import photos
from tljax.report.pages import (
    by_task,
    climb,
    document,
    gallery,
    headline,
    masks,
    moved,
    photographs,
    preprocessing,
    sections,
    sentences,
    shifted,
    told,
    training,
)
from tljax.report.pages.text import escape, words
from tljax.report.pictures import range_tests
from tljax.report.tables import few, table
from tljax.runs import metrics as records
from tljax.runs.predictions import held_out
from tljax.runs.results import read_json, read_results
from tljax.tasks.known import of_results
from tljax.tasks.task import Task


def write_page(workdir: Path) -> Path:
    """Write `report.html` from the run's files and the pictures in `workdir`.

    Reads config.json, metrics.jsonl, results.json and the predictions. A picture that has not been
    drawn is left out. InputError as in `read_json`.
    """
    config = read_json(workdir / "config.json")
    results = read_results(workdir / "results.json")
    metrics = records.read_begun(workdir / "metrics.jsonl", results)
    split, predictions, fitted_on = held_out(workdir, results)
    result = headline.sentence(results, config, predictions, split=split)
    kept, shown = photographs.read(workdir), masks.read(workdir)
    body = [
        f"<h1>{escape(result)}</h1>",
        _about(results["data"], of_results(results)),
        *alarms_section(results),
        *preprocessing.alarm(results),
        *climb.section(results, predictions, split=split),
        *gallery.strip(kept),
        *told.strip(told.read(workdir)),
        *masks.strip(shown),
        *shifted.of_run(workdir),
        *few.section(results, config),
        *training.progress_section(
            metrics,
            config,
            range_tests.read_range_tests(workdir),
            workdir=workdir,
            measure=table.measure_of(results),
        ),
        *preprocessing.section(results),
        *moved.section(results, workdir=workdir),
        *training.costs_section(results, config),
        *sections.trust_section(results, predictions, fitted_on=fitted_on, workdir=workdir),
        *by_task.section(results, predictions, workdir=workdir),
        *gallery.sections(kept),
        *sentences.section(sentences.read(workdir)),
        *masks.sections(shown, predictions, split=split, workdir=workdir),
        *_details(config, results, metrics),
    ]
    title = f"{headline.source(results['data'])}: {result.partition(' [')[0]}"
    return document.write(workdir / "report.html", title, body)


def _about(data: dict, task: Task) -> str:
    """Say which photographs, by the last folder's name; the whole source is in the title."""
    classes = [str(name) for name in data.get("classes") or []]
    named = f" ({', '.join(classes)})" if 0 < len(classes) <= 5 else ""
    parts = [
        task.worded(f"{data['train_images']:,} training photographs")
        if "train_images" in data
        else "",
        f"{_counted(classes, task)}{named}" if classes else "",
        _extent(data, task),
    ]
    whole, name = escape(str(data.get("source", ""))), escape(headline.source(data))
    rest = escape("; ".join(part for part in parts if part))
    return f'<p class="about"><b title="{whole}">{name}</b>: {rest}</p>'


def command_line(config: dict) -> str:
    """Quote the run's command for pasting into a shell."""
    command = config.get("command", "no command recorded")
    return shlex.join(map(str, command)) if isinstance(command, list) else str(command)


def _extent(data: dict, task: Task) -> str:
    """Say how large an example is; empty where that is not recorded."""
    if "size" not in data:
        return ""
    return f"{data['size']} tokens" if task.example else f"{photos.across(data['size'])} pixels"


def _counted(classes: list[str], task: Task) -> str:
    """Say how many classes, labels or numbers a task has."""
    one = {"classes": "class"}.get(task.called, task.called.removesuffix("s"))
    return f"{len(classes)} {one if len(classes) == 1 else task.called}"


def data_line(data: dict, task: Task) -> str:
    """Describe the data from results.json: source, classes, size, counts, files left out, digest.

    What is not recorded is left out.
    """
    classes = [str(name) for name in data.get("classes") or []]
    more = f" and {len(classes) - 12} more" if len(classes) > 12 else ""
    parts = [
        str(data.get("source", "")),
        f"{_counted(classes, task)} ({', '.join(classes[:12])}{more})" if classes else "",
        _extent(data, task),
        *[
            task.worded(f"{data[f'{s}_images']:,} {n} images")
            for s, n in records.SPLITS.items()
            if f"{s}_images" in data
        ],
        *_left_out(data),
        f"sha256 {data['digest']}" if "digest" in data else "",
    ]
    return "; ".join(part for part in parts if part)


def _left_out(data: dict) -> list[str]:
    corrupt = [f"{len(data['skipped'])} corrupt ones"] if data.get("skipped") else []
    without = [*corrupt, *map(str, data.get("left_out") or [])]
    return [f"left out: {'; '.join(without)}"] if without else []


def alarms_section(results: dict) -> list[str]:
    """List what is wrong with each stage and which epoch's figures are shown, if anything is."""
    lines = [f'<p class="wrong"><b>{escape(line)}</b></p>' for line in table.alarms(results)]
    note = (
        "Figures are those of a stage's last epoch; of one that went back, "
        "those of the epoch it went back to."
    )
    return [*lines, sections.small_print(note)] if lines else []


def _details(config: dict, results: dict, metrics: dict) -> list[str]:
    seeds = {seed for by_seed in metrics.values() for seed in by_seed} | {
        row["seed"] for row in results["rungs"]
    }
    versions = config.get("versions")
    facts = {
        "device": config.get("device", "not recorded"),
        "seeds": ", ".join(map(str, sorted(seeds))) or "none yet",
        **(versions if isinstance(versions, dict) else {"versions": "not recorded"}),
    }
    whole = {
        "config": config,
        "data": results["data"],
        "environment": results.get("environment", {}),
    }
    return [
        "<h2>Command, data, versions</h2>",
        f'<pre class="command"><code>{words(command_line(config))}</code></pre>',
        f"<p>{escape(data_line(results['data'], of_results(results)))}</p>",
        "<dl>",
        *[
            f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>"
            for name, value in facts.items()
        ],
        "</dl><details><summary>Configuration and environment</summary>",
        f"<pre>{escape(json.dumps(whole, indent=2, ensure_ascii=False))}</pre></details>",
    ]
