"""Accuracy by the number of labelled examples, a curve for each rung."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tljax.report.pictures import style

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
CAPTION = "Accuracy on the {} of {}, {:,} examples.\nMean over {} draws, and its 95 % interval."


def write_labels(document: Mapping, *, path: Path) -> Path:
    """Draw what `tljax labels` measured, with the numbers of labels on a logarithmic axis."""
    counts, rungs, entries = document["labels"], document["rungs"], list(document["ways"].values())
    figure = style.new_figure(width=7.5, height=4.6)
    ax = figure.add_axes((0.09, 0.12, 0.75, 0.68))
    first = entries[0]["columns"]
    (column,) = first
    about = (document["split"], Path(document["judged"]).name, document["images"][column])
    seeds = len(first[column]["seeds"])
    style.title(figure, "Accuracy by number of labels", CAPTION.format(*about, seeds))
    places, shown, ends = np.arange(len(counts)), list[float](), list[float]()
    for number in range(len(rungs)):
        found = [entry["columns"][column] for entry in entries[number :: len(rungs)]]
        middle = np.array([100 * each["accuracy"] for each in found])
        low, high = (
            np.array([100 * each.get(end, each["accuracy"]) for each in found])
            for end in ("low", "high")
        )
        colour = _COLOURS[number]
        ax.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
        ax.plot(places, middle, "o-", color=colour, markersize=4)
        shown += [*low, *high]
        ends.append(float(middle[-1]))
    bottom, top = max(0, math.floor(min(shown)) - 1), min(100, math.ceil(max(shown)) + 1)
    for number, at in enumerate(_apart(ends, gap=0.06 * (top - bottom))):
        ax.text(
            places[-1] + 0.02 * len(places),
            at,
            rungs[number],
            va="center",
            size=9,
            color=_COLOURS[number],
        )
    ax.set_xticks(places, [f"{count:,}" for count in counts])
    ax.set_ylim(bottom, top)
    ax.locator_params(axis="y", integer=True, nbins=7)
    ax.yaxis.set_major_formatter("{x:.0f} %")
    ax.grid(axis="y", color=style.RULE, linewidth=0.7)
    style.strip(ax)
    return style.save(figure, path)


def _apart(heights: Sequence[float], *, gap: float) -> list[float]:
    """Move heights up until each is a gap above the next lower one, so that names do not touch."""
    placed: dict[int, float] = {}
    for i in sorted(range(len(heights)), key=lambda i: heights[i]):
        placed[i] = max([heights[i], *(at + gap for at in placed.values())])
    return [placed[i] for i in range(len(heights))]
