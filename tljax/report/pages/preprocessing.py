"""The preprocessing of a run's base, as recorded in results.json: a line for the page."""

from tljax.report.pages.text import escape
from tljax.runs.results import typed


def section(results: dict) -> list[str]:
    """Describe the preprocessing and its measurement, after any alarm; empty without a base."""
    if "preprocessing" not in results:
        return []
    record = typed(results, "preprocessing", dict, "results.json")
    where = "results.json: preprocessing"
    text, alarm = (typed(record, name, str, where) for name in ("told", "alarm"))
    warning = [f'<p class="wrong"><b>Warning: {escape(alarm)}</b></p>'] if alarm else []
    return [*warning, f"<p>Preprocessing: {escape(text)}</p>"]
