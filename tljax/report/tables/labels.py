"""Accuracy by number of labels as a table: a row for each number, a column for each rung."""

from collections.abc import Mapping, Sequence

from tljax.report.tables.shifted import cell
from tljax.report.tables.table import aligned


def way(count: int, rung: str) -> str:
    """Name a rung on so many labels, as the document does."""
    return f"{count:,} labels, {rung}"


def pairs(rungs: Sequence[str], counts: Sequence[int]) -> list[tuple[str, str]]:
    """List what is compared: each rung with the first, and with itself on fewer labels."""
    first, *others = rungs
    beside = [(way(n, rung), way(n, first)) for n in counts for rung in others]
    steps = list(zip(counts[1:], counts[:-1], strict=True))
    return beside + [(way(n, rung), way(less, rung)) for rung in rungs for n, less in steps]


def text(document: Mapping) -> str:
    """Format the whole for a terminal: accuracies, then the paired differences, each on a line."""
    counts, rungs = document["labels"], document["rungs"]
    (column,) = document["images"]

    def accuracy(count: int, rung: str) -> str:
        return cell(document["ways"][way(count, rung)]["columns"][column])

    rows = [[f"{count:,}", *(accuracy(count, rung) for rung in rungs)] for count in counts]
    lines = [
        f"{'' if _shown(each) else 'not shown: '}{_said(each)}" for each in document["differences"]
    ]
    return "\n".join([aligned(["labels", *rungs], rows), "", *lines])


def _shown(difference: Mapping) -> bool:
    return difference["low"] > 0 or difference["high"] < 0


def _said(difference: Mapping) -> str:
    value, low, high = (100 * difference[key] for key in ("value", "low", "high"))
    figures = f"{value:+.1f} points [{low:.1f}, {high:.1f}]"
    return f"{difference['way']} against {difference['against']}: {figures}"
