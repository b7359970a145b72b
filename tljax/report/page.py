"""One self-contained HTML page about a run: no script, no request, readable on a phone and in the dark."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path

from tljax.report import curves, records, sections, style, table
from tljax.report.predictions import held_out
from tljax.report.text import escape

STYLE = """
:root { color-scheme: light dark;
  --ink: #222; --faint: #5d5d5d; --rule: #d8d8d8; --paper: #fff; --box: #f4f4f2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e3; --faint: #a5a5a0; --rule: #3d3d3d; --paper: #181818; --box: #242424; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 3rem; overflow-wrap: break-word;
  background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .5rem 0; }
.note { color: var(--faint); font-size: .875rem; white-space: pre-line; margin-bottom: 1rem; }
pre { background: var(--box); padding: .75rem; border-radius: .4rem; margin: .5rem 0; font-size: .85rem;
  white-space: pre-wrap; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .4rem .5rem; border-bottom: 1px solid var(--rule);
  vertical-align: baseline; }
thead th { color: var(--faint); font-weight: 600; }
th:first-child { text-align: left; min-width: 8rem; overflow-wrap: anywhere; }
.pictures { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); }
img { display: block; width: 100%; max-width: 616px; height: auto; background: #fff; border-radius: .4rem;
  border: 1px solid var(--rule); }
summary { cursor: pointer; font-weight: 600; margin-top: 2rem; }
dl { display: grid; gap: .15rem 1rem; margin: .75rem 0;
  grid-template-columns: minmax(4rem, max-content) minmax(0, 1fr); }
dt { color: var(--faint); } dd { margin: 0; }
@media (min-width: 68rem) { td { white-space: nowrap; } }
@media (max-width: 48rem) {
  thead { display: none; }
  table, tbody, tr, th, td { display: block; }
  tr { border-bottom: 1px solid var(--rule); padding: .6rem 0; }
  th, td { border: 0; padding: .1rem 0; text-align: left; }
  td { display: grid; grid-template-columns: 9.5rem minmax(0, 1fr); gap: .75rem; }
  td::before { content: attr(data-label); color: var(--faint); }
}
"""


def write_page(workdir: Path) -> Path:
    """`report.html` from config.json, metrics.jsonl, results.json and the pictures that lie in `workdir`.

    A picture that has not been drawn is left out. InputError as in `table.read_json`.
    """
    config = table.read_json(workdir / "config.json")
    results = table.read_results(workdir / "results.json")
    metrics = records.read_metrics(workdir / "metrics.jsonl")
    split, predictions, fitted_on = held_out(workdir, results)
    title = f"What each rung bought: {results['data'].get('source', 'unnamed data')}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<pre><code>{escape(command_line(config))}</code></pre>",
        f"<p>{escape(data_line(results['data']))}</p>",
        "<h2>The ladder</h2>",
        html_table(results),
        f'<p class="note">{escape(table.interval_note(results))}</p>',
        sections.picture(workdir / "ladder.png", alt=_ladder_alt(results)),
        *sections.differences_section(results, predictions, split=split),
        "<h2>Loss and accuracy against epoch</h2>",
        '<div class="pictures">',
        *[
            sections.picture(workdir / curves.curves_name(rung), alt=_curves_alt(rung, metrics[rung]))
            for rung in metrics
        ],
        "</div>",
        *sections.calibration_section(results, predictions, fitted_on=fitted_on, workdir=workdir),
        *sections.confusion_section(results, predictions, workdir=workdir),
        *_details(config, results, metrics),
    ]
    # A folder's name may hold bytes that are no UTF-8; they arrive as lone surrogates.
    page = _document(title, body).encode(errors="replace")
    return style.write_atomically(workdir / "report.html", page)


def command_line(config: dict) -> str:
    """The command as it can be pasted into a shell."""
    command = config.get("command", "no command recorded")
    return shlex.join(map(str, command)) if isinstance(command, list) else str(command)


def data_line(data: dict) -> str:
    """Source, classes, size, counts and digest, of what results.json holds of them."""
    classes = [str(name) for name in data.get("classes") or []]
    more = f" and {len(classes) - 12} more" if len(classes) > 12 else ""
    parts = [
        str(data.get("source", "")),
        f"{len(classes)} classes ({', '.join(classes[:12])}{more})" if classes else "",
        "{0} x {0} pixels".format(data["size"]) if "size" in data else "",
        *[f"{data[f'{s}_images']:,} {n} images" for s, n in records.SPLITS.items() if f"{s}_images" in data],
        f"sha256 {data['digest']}" if "digest" in data else "",
    ]
    return "; ".join(part for part in parts if part)


def html_table(results: dict) -> str:
    """The ladder, or that there is none yet."""
    if not results["rungs"]:
        return "<p>No rung has finished yet.</p>"
    return sections.html_table(table.columns(results), table.cells(results))


def _document(title: str, body: Iterable[str]) -> str:
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        # Without an icon of its own the page would make a browser ask the server for one.
        '<link rel="icon" href="data:,">',
        f"<style>{STYLE}</style>",
    ]
    lines = ["<!DOCTYPE html>", '<html lang="en"><head>', *head, "</head><body>", *body, "</body></html>"]
    return "\n".join(line for line in lines if line) + "\n"


def _ladder_alt(results: dict) -> str:
    rungs = [f"{name} {table.percent(table.accuracy(rows)[0])}" for name, rows in table.by_rung(results).items()]
    return f"Validation accuracy of each rung, mean over seeds: {', '.join(rungs)}"


def _curves_alt(rung: str, seeds: dict) -> str:
    last = max(series["epoch"][-1] for series in seeds.values())
    return f"{rung}: training and validation loss and accuracy up to epoch {last}, {len(seeds)} seeds"


def _details(config: dict, results: dict, metrics: dict) -> list[str]:
    seeds = {seed for by_seed in metrics.values() for seed in by_seed} | {row["seed"] for row in results["rungs"]}
    versions = config.get("versions")
    facts = {
        "device": config.get("device", "not recorded"),
        "seeds": ", ".join(map(str, sorted(seeds))) or "none yet",
        **(versions if isinstance(versions, dict) else {"versions": "not recorded"}),
    }
    whole = {"config": config, "data": results["data"], "environment": results.get("environment", {})}
    return [
        "<details><summary>Configuration and environment</summary><dl>",
        *[f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items()],
        f"</dl><pre>{escape(json.dumps(whole, indent=2, ensure_ascii=False))}</pre></details>",
    ]
