"""Accuracy against the number of augmented views of a cached prefix, fresh augmentation as the last point."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tljax.report import style, table

COLOURS = tuple(style.COLOURS.values())


def write_views(results: dict, lines: Mapping[str, Mapping[int | None, str]], *, workdir: Path) -> Path:
    """`views.png`; `lines` names, for each line and number of views (None: fresh), the rung of the results."""
    rungs = table.by_rung(results)
    figure = style.new_figure(width=5.6, height=3.9)
    ax = figure.add_axes((0.11, 0.14, 0.68, 0.63))
    seeds = max(len(rows) for rows in rungs.values())
    caption = f"Validation accuracy; line: mean of {seeds} seeds, bar: lowest to highest."
    style.title(figure, "Views of a cached prefix", caption)
    counts = list(next(iter(lines.values())))
    shown, ends = [], []
    for colour, (line, names) in zip(COLOURS, lines.items(), strict=False):
        seen = [[100 * row["validation"]["accuracy"] for row in rungs[names[count]]] for count in counts]
        means = np.array([np.mean(values) for values in seen])
        low, high = (np.array([pick(values) for values in seen]) for pick in (min, max))
        ax.errorbar(range(len(counts)), means, (means - low, high - means), color=colour, linewidth=1.8, elinewidth=0.9)
        ends.append((means[-1], line, colour))
        shown += [*low, *high]
    for place, (value, line, colour) in enumerate(sorted(ends)):
        height = max(value, sorted(ends)[0][0] + 0.9 * place)
        ax.text(len(counts) - 0.75, height, f"{line}\n{value:.1f} %", color=colour, size=9, va="center")
    ax.set_ylim(min(shown) - 1, max(shown) + 1)
    ax.set_xticks(range(len(counts)), ["fresh" if count is None else str(count) for count in counts])
    ax.set_xlabel("augmented views of each photograph", size=9.5, color=style.INK)
    ax.yaxis.set_major_formatter("{x:.0f} %")
    ax.grid(axis="y", color=style.RULE, linewidth=0.7)
    style.strip(ax)
    return style.save(figure, workdir / "views.png")
