"""What a run leaves behind for people to look at: pictures, tables, one page."""

from pathlib import Path

from tljax.report import curves, ladder, page, records, table
from tljax.report.table import markdown_table, read_results, text_table

__all__ = ["markdown_table", "read_results", "text_table", "write_report"]


def write_report(workdir: Path) -> list[Path]:
    """Draws `curves_<rung>.png` for each rung and `ladder.png`, writes `report.html`; returns their paths.

    Reads `config.json`, `metrics.jsonl` and `results.json`; InputError, before anything is written, names the
    file and line that is missing or garbled. A run that is not finished reports what it has.
    """
    workdir = Path(workdir)
    table.read_json(workdir / "config.json")
    results = table.read_results(workdir / "results.json")
    metrics = records.read_metrics(workdir / "metrics.jsonl")
    written = [curves.write_curves(rung, seeds, workdir=workdir) for rung, seeds in metrics.items()]
    if results["rungs"]:
        written.append(ladder.write_ladder(results, workdir=workdir))
    return [*written, page.write_page(workdir)]
