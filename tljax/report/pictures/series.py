"""Accuracy of one run's rungs against a setting in which they differ, a line a kind of rung."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tljax.report.pictures import style
from tljax.report.tables import table
from tljax.runs.results import by_rung

COLOURS = tuple(style.COLOURS.values())


def write_series(
    results: dict, lines: Mapping[str, Mapping[str, str]], *, title: str, setting: str, path: Path
) -> Path:
    """Draw validation accuracy at each value of the setting.

    `lines` names, for each line and value, a rung of the results. All lines have the same values,
    in the order in which they are drawn.
    """
    rungs, measure = by_rung(results), table.measure_of(results)
    figure = style.new_figure(width=5.6, height=3.9)
    ax = figure.add_axes((0.11, 0.14, 0.68, 0.63))
    seeds = max(len(rows) for rows in rungs.values())
    caption = f"Validation {measure.name}; line: mean of {seeds} seeds, bar: lowest to highest."
    style.title(figure, title, caption)
    counts = list(next(iter(lines.values())))
    shown, ends = [], []
    for colour, (line, names) in zip(COLOURS, lines.items(), strict=False):
        seen = [
            [measure.scale * row["validation"][measure.name] for row in rungs[names[count]]]
            for count in counts
        ]
        means = np.array([np.mean(values) for values in seen])
        low, high = (np.array([pick(values) for values in seen]) for pick in (min, max))
        ax.errorbar(
            range(len(counts)),
            means,
            (means - low, high - means),
            color=colour,
            linewidth=1.8,
            elinewidth=0.9,
        )
        ends.append((means[-1], line, colour))
        shown += [*low, *high]
    for place, (value, line, colour) in enumerate(sorted(ends)):
        height = max(value, sorted(ends)[0][0] + 0.9 * place)
        ax.text(
            len(counts) - 0.75,
            height,
            f"{line}\n{value:.{measure.digits}f}{measure.unit}",
            color=colour,
            size=9,
            va="center",
        )
    ax.set_ylim(min(shown) - 1, max(shown) + 1)
    ax.set_xticks(range(len(counts)), counts)
    ax.set_xlabel(setting, size=9.5, color=style.INK)
    ax.yaxis.set_major_formatter(f"{{x:g}}{measure.unit}")
    ax.grid(axis="y", color=style.RULE, linewidth=0.7)
    style.strip(ax)
    return style.save(figure, path)
