"""Pictures of several runs together: accuracies with their intervals, and curves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tljax.report.pages.runs import Run, rungs
from tljax.report.pictures import style
from tljax.report.stats import intervals
from tljax.report.tables import table
from tljax.runs import out_of_fold
from tljax.runs.results import by_rung
from tljax.tasks.task import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito (2008), the dark ones first; more runs than colours are refused before.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#a0568c", "#b07d00", "#555555")
ROW, HEAD = 0.27, 0.42  # inches: a run's row, and the name of a rung above its rows


def accuracies(runs: Sequence[Run], *, split: str) -> bytes:
    """Draw accuracies as PNG bytes: for each rung a row per run.

    A row has a dot per seed, a tick at the mean and a bar over the 95 % interval.
    """
    measure = table.measure_of(runs[0].results)
    shown = [(rung, [run for run in runs if rung in by_rung(run.results)]) for rung in rungs(runs)]
    length = sum(HEAD + ROW * len(having) for _, having in shown)
    where = f"of {split} images" if split == out_of_fold.SPLIT else f"in {split}"
    figure = style.new_figure(width=4.6, height=1.45 + length)
    height = figure.get_figheight()
    ax = figure.add_axes((0.04, 0.42 / height, 0.92, length / height))
    style.title(
        figure,
        f"{measure.name[0].upper()}{measure.name[1:]} {where}",
        "Dot: one seed. Tick: mean. Bar: 95 % interval,\nover seeds, else over images.",
    )
    values, place = [], 0.0
    for rung, having in shown:
        ax.text(
            0,
            place + HEAD - 0.1,
            style.short(rung, 30),
            size=9.5,
            weight="bold",
            color=style.INK,
            transform=ax.get_yaxis_transform(),
            va="center",
            parse_math=False,
        )
        place += HEAD
        for run in having:
            colour, rows = COLOURS[runs.index(run)], by_rung(run.results)[rung]
            values += _row(ax, run, colour, rows, place + ROW / 2, split, measure)
            place += ROW
    low, high = style.limits(values, measure)
    # The left third is the runs' names.
    ax.set_xlim(low - 0.55 * (high - low), high)
    ax.set_xticks([tick for tick in ax.get_xticks() if low <= tick <= high])
    ax.xaxis.set_major_formatter(f"{{x:g}}{measure.unit}")
    ax.set_ylim(place, 0)
    ax.yaxis.set_visible(False)
    ax.grid(axis="x", color=style.RULE, linewidth=0.7)
    style.strip(ax)
    return style.png(figure)


def curves(rung: str, runs: Sequence[Run]) -> bytes:
    """Draw validation loss above the task's score against epoch as PNG bytes.

    A line per run: its mean over seeds, with each seed thin.
    """
    measure = table.measure_of(runs[0].results)
    figure = style.new_figure(width=4.4, height=4.9)
    axes = figure.subplots(2, 1, sharex=True, gridspec_kw={"hspace": 0.2})
    figure.subplots_adjust(left=0.15, right=0.76, top=0.8, bottom=0.095)
    style.title(figure, rung, "In validation. Thick: mean over seeds; thin: each seed.")
    for ax, metric in zip(axes, ("loss", measure.name), strict=True):
        ends = [
            _line(ax, r, COLOURS[i], rung, metric, measure)
            for i, r in enumerate(runs)
            if rung in r.metrics
        ]
        ax.set_title(metric, loc="left", size=9.5, color=style.INK, pad=7)
        ax.grid(axis="y", color=style.RULE, linewidth=0.7)
        if metric == measure.name:
            drawn = [value for line in ax.lines for value in _finite(line.get_ydata())]
            ax.set_ylim(style.limits(drawn, measure))
            ax.yaxis.set_major_formatter(f"{{x:g}}{measure.unit}")
        style.strip(ax)
        _names(ax, ends)
    axes[1].set_xlabel("epoch", size=9.5, color=style.INK)
    axes[1].xaxis.get_major_locator().set_params(integer=True)
    return style.png(figure)


def _row(
    ax: "Axes",
    run: Run,
    colour: str,
    rows: Sequence[dict],
    place: float,
    split: str,
    measure: Measure,
) -> list[float]:
    average, interval = table.score(rows, measure, split=split)
    values, scale = [row[split][measure.name] for row in rows], measure.scale
    seeds = [scale * value for value in values if np.isfinite(value)]
    ends = [scale * interval.low, scale * interval.high] if interval else []
    ax.plot(ends, [place] * len(ends), color=colour, linewidth=8, alpha=0.3, solid_capstyle="butt")
    if np.isfinite(average):
        ax.plot(
            [scale * average] * 2,
            [place - 0.09, place + 0.09],
            color=colour,
            linewidth=1.8,
            zorder=4,
        )
    ax.plot(
        seeds,
        [place] * len(seeds),
        "o",
        color=colour,
        markersize=3.8,
        alpha=0.7,
        markeredgewidth=0,
        zorder=5,
    )
    ax.text(
        0,
        place,
        f"{style.short(run.name, 17)}  {measure.shown(average)}",
        color=colour,
        transform=ax.get_yaxis_transform(),
        va="center",
        size=8.5,
        parse_math=False,
    )
    return seeds + ends


def _line(
    ax: "Axes", run: Run, colour: str, rung: str, metric: str, measure: Measure
) -> tuple[float, str, str]:
    """Draw one run, and return (where its line ends, its label there, colour)."""
    epochs, values = intervals.together(run.metrics[rung], f"validation/{metric}")
    values = values * (measure.scale if metric == measure.name else 1)
    average = values.mean(axis=0)
    marker = "o" if len(epochs) <= 12 else None
    ax.plot(epochs, average, color=colour, marker=marker, markersize=3.2, linewidth=2, zorder=3)
    if len(values) > 1:
        ax.plot(epochs, values.T, color=colour, linewidth=0.7, alpha=0.45)
    finite = _finite(average)
    last = float(finite[-1]) if len(finite) else np.nan
    value = f"{last:.3f}"
    if metric == measure.name:
        value = f"{last:.{measure.digits}f}{measure.unit}"
    return last, f"{style.short(run.name, 15)}\n{value if len(finite) else 'not finite'}", colour


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _names(ax: "Axes", ends: Sequence[tuple[float, str, str]]) -> None:
    """Write labels at the ends of the lines, highest first, moved apart where two would overlap."""
    low, high = ax.get_ylim()
    heights = [
        min(max((value - low) / (high - low), 0), 1) if np.isfinite(value) else 0
        for value, *_ in ends
    ]
    step, above = min(0.19, 1 / max(1, len(ends) - 1)), 1.05 + 0.19
    for place, row in enumerate(order := np.argsort(-np.array(heights), kind="stable")):
        room = step * (len(order) - 1 - place)  # for those below
        above = max(min(heights[row], above - step), room - 0.05)
        _, text, colour = ends[row]
        ax.text(
            1.02,
            above,
            text,
            color=colour,
            size=8,
            va="center",
            transform=ax.transAxes,
            parse_math=False,
        )
