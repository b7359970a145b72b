"""Ways to a classifier in one picture: accuracy on photographs as they are, and shifted."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tljax.report.pictures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
CAPTION = "Mean over seeds, and its 95 % interval."


def write_ways(document: Mapping, *, title: str, path: Path) -> Path:
    """Draw a row for each way, with a dot and an interval for each set of photographs."""
    ways, columns = list(document["ways"]), list(document["images"])
    figure, ax = _figure(title, columns, left=0.33, tall=0.42 * len(ways))
    shown: list[float] = []
    for place, way in enumerate(ways):
        for shift, (column, colour) in zip(
            np.linspace(-0.14, 0.14, len(columns)) if len(columns) > 1 else [0.0],
            _coloured(columns),
            strict=True,
        ):
            low, mean, high = _ends(document["ways"][way]["columns"][column])
            ax.plot(
                [low, high],
                [place + shift] * 2,
                color=colour,
                linewidth=3,
                alpha=0.45,
                solid_capstyle="butt",
            )
            ax.plot([mean], [place + shift], "o", color=colour, markersize=5)
            shown += [low, high]
    ax.set_yticks(range(len(ways)), [_label(way) for way in ways], parse_math=False)
    ax.set_ylim(len(ways) - 0.5, -0.5)
    ax.set_xlim(style.percent_limits(shown))
    ax.xaxis.set_major_formatter("{x:g} %")
    ax.grid(axis="x", color=style.RULE, linewidth=0.7)
    style.strip(ax)
    return style.save(figure, path)


def _label(way: str) -> str:
    """Break a name into two lines at most, each cut to the room beside the picture."""
    return "\n".join(style.short(line, 18) for line in textwrap.wrap(way, 18)[:2])


def write_path(
    document: Mapping, at: Sequence[float], *, title: str, ends: tuple[str, str], path: Path
) -> Path:
    """Draw accuracy along the line from one rung to another, a curve for each set of photographs.

    The ways of the document are the points `at`, in order: 0 is the first rung, 1 the second.
    """
    columns = list(document["images"])
    figure, ax = _figure(title, columns, left=0.13, tall=2.4)
    shown: list[float] = []
    for column, colour in _coloured(columns):
        points = [_ends(way["columns"][column]) for way in document["ways"].values()]
        low, mean, high = np.array(points).T
        ax.fill_between(at, low, high, color=colour, alpha=0.18, linewidth=0)
        ax.plot(at, mean, "o-", color=colour, linewidth=1.6, markersize=3.5)
        shown += [*low, *high]
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], [ends[0], "1/4", "1/2", "3/4", ends[1]])
    ax.set_ylim(style.percent_limits(shown))
    ax.yaxis.set_major_formatter("{x:.0f} %")
    ax.grid(axis="y", color=style.RULE, linewidth=0.7)
    style.strip(ax)
    return style.save(figure, path)


def _coloured(columns: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(columns, _COLOURS, strict=False))


def _figure(
    title: str, columns: Sequence[str], *, left: float, tall: float
) -> tuple["Figure", "Axes"]:
    """Make a figure as wide as the page's other charts, its legend a line for each column.

    `left` of its width is for names; the axes are `tall` inches high.
    """
    top = 0.66 + 0.2 * len(columns)
    height = top + tall + 0.4
    figure = style.new_figure(width=4.4, height=height)
    style.title(figure, title, CAPTION)
    ax = figure.add_axes((left, 0.36 / height, 0.94 - left, tall / height))
    for place, (column, colour) in enumerate(_coloured(columns)):
        figure.text(
            0.04,
            1 - (0.64 + 0.2 * place) / height,
            f"● {style.short(column, 46)}",
            color=colour,
            size=9,
            va="top",
            parse_math=False,
        )
    return figure, ax


def _ends(entry: Mapping) -> tuple[float, float, float]:
    """Return (low, mean, high) in percent; the mean thrice without an interval."""
    mean = entry["accuracy"]
    return 100 * entry.get("low", mean), 100 * mean, 100 * entry.get("high", mean)
