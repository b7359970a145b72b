"""The ladder in one picture: the validation score of every rung."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tljax.report.pictures import style
from tljax.report.tables import table
from tljax.runs.results import by_rung
from tljax.tasks.task import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CAPTION = "Dot: one seed. Tick: mean. Bar: 95 % interval.{}"
ALARM = "\nRed name: see the alarms."


def write_ladder(results: dict, *, workdir: Path) -> Path:
    """Draw every rung's validation score: a dot per seed, the mean, a 95 % interval."""
    rungs, measure = by_rung(results), table.measure_of(results)
    figure = style.new_figure(width=4.6, height=1.34 + 0.62 * len(rungs))
    height = figure.get_figheight()
    ax = figure.add_axes((0.04, 0.36 / height, 0.92, 1 - (0.36 + 0.87) / height))
    style.title(
        figure, f"Validation {measure.name}", CAPTION.format(ALARM if table.alarms(results) else "")
    )
    shown = []
    for place, (rung, rows) in enumerate(rungs.items()):
        shown += _rung(ax, rung, rows, place, measure)
    ax.set_xlim(style.limits(shown, measure))
    ax.locator_params(axis="x", nbins=6)
    ax.xaxis.set_major_formatter(f"{{x:g}}{measure.unit}")
    ax.set_ylim(len(rungs) - 0.6, -0.75)
    ax.yaxis.set_visible(False)
    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    # Grid lines beside the bars alone: through the names they would be in the way of reading.
    for place in range(len(rungs)):
        ax.vlines(ticks, place - 0.2, place + 0.3, color=style.RULE, linewidth=0.7, zorder=0)
    style.strip(ax)
    return style.save(figure, workdir / "ladder.png")


def _rung(ax: "Axes", rung: str, rows: Sequence[dict], place: int, measure: Measure) -> list[float]:
    """Draw one rung at height `place`, and return the values drawn, for the axis."""
    average, interval = table.score(rows, measure)
    scaled = [measure.scale * row["validation"][measure.name] for row in rows]
    seeds = [value for value in scaled if np.isfinite(value)]
    ends = [measure.scale * interval.low, measure.scale * interval.high] if interval else []
    if interval:
        colour = style.COLOURS["validation"]
        ax.plot(ends, [place, place], color=colour, linewidth=9, alpha=0.25, solid_capstyle="butt")
    if np.isfinite(average):
        ax.plot(
            [measure.scale * average] * 2,
            [place - 0.17, place + 0.17],
            color=style.INK,
            linewidth=1.6,
            zorder=4,
        )
    spread = np.linspace(-0.06, 0.06, len(seeds)) if len(seeds) > 1 else np.zeros(len(seeds))
    ax.plot(
        seeds,
        place + spread,
        "o",
        markersize=4.2,
        color=style.INK,
        alpha=0.65,
        markeredgewidth=0,
        zorder=5,
    )
    text = partial(
        ax.text,
        transform=ax.get_yaxis_transform(),
        va="bottom",
        parse_math=False,
    )
    colour = style.INK if table.marked(rung, rows) == rung else style.ALARM
    text(0, place - 0.26, style.short(rung, 20), size=9.5, weight="bold", color=colour)
    note = f"{measure.shown(average)}   {table.interval_text(interval, measure)}"
    text(1, place - 0.26, note, size=8.5, color=style.FAINT, ha="right")
    return seeds + ends
