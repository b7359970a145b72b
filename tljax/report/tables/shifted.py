"""The document of a judgement on shifted photographs as a table and sentences."""

from collections.abc import Mapping

from tljax.report.tables.table import aligned, percent


def head(document: Mapping) -> list[str]:
    """List the columns: the way, and each set of photographs with how many there are."""
    return ["", *(f"{name} ({count:,})" for name, count in document["images"].items())]


def rows(document: Mapping) -> list[list[str]]:
    """Format a row for each way: its name, and accuracy with a 95 % interval in each column."""
    return [
        [way, *(cell(entry["columns"][column]) for column in document["images"])]
        for way, entry in document["ways"].items()
    ]


def sentences(document: Mapping) -> list[str]:
    """Say each difference, a line for each column."""
    lines = []
    for column in document["images"]:
        of = [each for each in document["differences"] if each["column"] == column]
        shown = [each["said"] for each in of if each["low"] > 0 or each["high"] < 0]
        others = [each["said"] for each in of if each["said"] not in shown]
        none = [f"no difference shown: {', '.join(others)}"] if others else []
        lines += [f"{column}: {'; '.join([*shown, *none])}"] if of else []
    return lines


def text(document: Mapping) -> str:
    """Format the whole for a terminal."""
    return "\n".join([aligned(head(document), rows(document)), "", *sentences(document)])


def cell(entry: Mapping) -> str:
    """Format an accuracy with its 95 % interval."""
    ends = f" [{100 * entry['low']:.1f}, {100 * entry['high']:.1f}]" if "low" in entry else ""
    return percent(entry["accuracy"]) + ends
