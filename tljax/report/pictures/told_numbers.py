"""Numbers as a network tells them against what they are: a panel for each number."""

from pathlib import Path

import numpy as np

from tljax.report.pictures import style
from tljax.runs.predictions import Predictions
from tljax.tasks.regression import Regression

FILE = "numbers.png"
MOST = 6  # panels


def write_numbers(rung: str, predicted: Predictions, *, split: str, workdir: Path) -> Path:
    """Draw a dot for each image and seed, true value across and told value up."""
    task = predicted.task
    assert isinstance(task, Regression)
    told = task.predicted(predicted.kept)
    names = predicted.classes[:MOST]
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = style.new_figure(width=max(4.4, 2.7 * columns), height=0.9 + 3.1 * lines)
    height = figure.get_figheight()
    about = f"{len(predicted.labels):,} {split} images; dashed: told as it is"
    style.title(figure, f"{rung}: told against true", about)
    axes = figure.subplots(lines, columns, squeeze=False)
    figure.subplots_adjust(
        left=0.14 if columns == 1 else 0.07,
        right=0.97,
        top=1 - 0.95 / height,
        bottom=0.5 / height,
        hspace=0.35,
        wspace=0.28,
    )
    for place, ax in enumerate(axes.flat):
        if place >= len(names):
            ax.set_visible(False)
            continue
        true = np.tile(predicted.labels[:, place], len(predicted.seeds))
        values = told[..., place].reshape(-1)
        low, high = min(true.min(), values.min()), max(true.max(), values.max())
        ax.plot([low, high], [low, high], color=style.FAINT, linewidth=1, linestyle="--")
        ax.plot(
            true,
            values,
            "o",
            color=style.COLOURS["validation"],
            markersize=3,
            alpha=max(0.15, min(0.6, 150 / len(true))),
            markeredgewidth=0,
        )
        ax.set_xlabel(style.short(names[place], 40), size=9, color=style.INK, parse_math=False)
        ax.grid(color=style.RULE, linewidth=0.7)
        style.strip(ax)
    return style.save(figure, workdir / FILE)
