"""A self-contained HTML page about a run: no script, no request, for phones and dark screens."""

import json
import shlex
from pathlib import Path

from tljax.report.pages import document, photographs, preprocessing, sections, training
from tljax.report.pages.text import escape
from tljax.report.pictures import range_tests
from tljax.report.tables import few, table
from tljax.runs import metrics as records
from tljax.runs.predictions import held_out
from tljax.runs.results import by_rung, read_json, read_results


def write_page(workdir: Path) -> Path:
    """Write `report.html` from the run's files and the pictures in `workdir`.

    Reads config.json, metrics.jsonl, results.json and the predictions. A picture that has not been
    drawn is left out. InputError as in `read_json`.
    """
    config = read_json(workdir / "config.json")
    results = read_results(workdir / "results.json")
    metrics = records.read_begun(workdir / "metrics.jsonl", results)
    split, predictions, fitted_on = held_out(workdir, results)
    title = f"What each rung bought: {results['data'].get('source', 'unnamed data')}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<pre><code>{escape(command_line(config))}</code></pre>",
        f"<p>{escape(data_line(results['data']))}</p>",
        *preprocessing.section(results),
        "<h2>The ladder</h2>",
        html_table(results),
        *alarms_section(results),
        f'<p class="note">{escape(table.interval_note(results))}</p>',
        *few.section(results, config),
        sections.picture(workdir / "ladder.png", alt=_ladder_alt(results)),
        *sections.differences_section(results, predictions, split=split),
        *training.costs_section(results, config),
        *(training.curves_section(metrics, config, workdir=workdir) if metrics else []),
        *training.rates_section(range_tests.read_range_tests(workdir), workdir=workdir),
        *sections.calibration_section(results, predictions, fitted_on=fitted_on, workdir=workdir),
        *sections.confusion_section(results, predictions, workdir=workdir),
        *photographs.sections(photographs.read(workdir)),
        *_details(config, results, metrics),
    ]
    return document.write(workdir / "report.html", title, body)


def command_line(config: dict) -> str:
    """Quote the run's command for pasting into a shell."""
    command = config.get("command", "no command recorded")
    return shlex.join(map(str, command)) if isinstance(command, list) else str(command)


def data_line(data: dict) -> str:
    """Describe the data from results.json: source, classes, size, counts, files left out, digest.

    What is not recorded is left out.
    """
    classes = [str(name) for name in data.get("classes") or []]
    more = f" and {len(classes) - 12} more" if len(classes) > 12 else ""
    parts = [
        str(data.get("source", "")),
        f"{len(classes)} classes ({', '.join(classes[:12])}{more})" if classes else "",
        "{0} x {0} pixels".format(data["size"]) if "size" in data else "",
        *[
            f"{data[f'{s}_images']:,} {n} images"
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


def html_table(results: dict) -> str:
    """Format the ladder as an HTML table, or say that no rung has finished."""
    if not results["rungs"]:
        return "<p>No rung has finished yet.</p>"
    return sections.html_table(table.columns(results), table.cells(results))


def alarms_section(results: dict) -> list[str]:
    """List what is wrong with each stage and which epoch's figures are shown, if anything is."""
    lines = [f'<p class="wrong"><b>{escape(line)}</b></p>' for line in table.alarms(results)]
    note = (
        "Figures are those of a stage's last epoch; of one that went back, "
        "those of the epoch it went back to."
    )
    return [*lines, sections.small_print(note)] if lines else []


def _ladder_alt(results: dict) -> str:
    rungs = [
        f"{name} {table.percent(table.accuracy(rows)[0])}"
        for name, rows in by_rung(results).items()
    ]
    return f"Validation accuracy of each rung, mean over seeds: {', '.join(rungs)}"


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
        "<details><summary>Configuration and environment</summary><dl>",
        *[
            f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>"
            for name, value in facts.items()
        ],
        f"</dl><pre>{escape(json.dumps(whole, indent=2, ensure_ascii=False))}</pre></details>",
    ]
