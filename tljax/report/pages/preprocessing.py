"""The preprocessing of a run's base, as results.json tells of it: a line for the page."""

from tljax.report.pages.text import escape
from tljax.runs.results import typed


def section(results: dict) -> list[str]:
    """In words, with what was measured, and the alarm before it where there is one; nothing of a run without a base."""
    if "preprocessing" not in results:
        return []
    found = typed(results, "preprocessing", dict, "results.json")
    told, alarm = (typed(found, name, str, "results.json: preprocessing") for name in ("told", "alarm"))
    warning = [f'<p class="wrong"><b>Warning: {escape(alarm)}</b></p>'] if alarm else []
    return [*warning, f"<p>Preprocessing: {escape(told)}</p>"]
