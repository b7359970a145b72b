"""The preprocessing of a run's base, as recorded in results.json: lines for the page."""

from tljax.report.pages.text import escape
from tljax.runs.results import typed


def alarm(results: dict) -> list[str]:
    """Warn, in a line, of a preprocessing that does not fit; empty for none."""
    said = _said(results, "alarm")
    return [f'<p class="wrong"><b>Warning: {escape(said)}</b></p>'] if said else []


def section(results: dict) -> list[str]:
    """Describe the preprocessing and its measurement; empty without a base."""
    said = _said(results, "told")
    return [f'<p class="note">Preprocessing of the base: {escape(said)}.</p>'] if said else []


def _said(results: dict, name: str) -> str:
    if "preprocessing" not in results:
        return ""
    record = typed(results, "preprocessing", dict, "results.json")
    return typed(record, name, str, "results.json: preprocessing")
