"""A sweep's table, a line for each grid point, and a picture of the score against one value."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tljax.report.pictures import style
from tljax.report.stats import intervals
from tljax.report.tables.table import aligned
from tljax.tasks.classification import ACCURACY
from tljax.tasks.task import Measure

_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")
CAPTION = (
    "Validation {}, mean over {} seeds; bar: 95 % interval. "
    "The best of many looks better than it is."
)


@dataclass(frozen=True)
class Point:
    """A point of the grid: its values by name, and each seed's validation score.

    The score of a seed that diverged is NaN.
    """

    values: Mapping[str, float]
    scores: Sequence[float]

    within: tuple[float, float] = intervals.SHARE  # that there can be

    @property
    def mean(self) -> float:
        """Average over the seeds; NaN where any diverged."""
        return intervals.mean(self.scores)

    @property
    def interval(self) -> intervals.Interval | None:
        """Compute the 95 % interval over seeds; None where it is undefined."""
        return intervals.t_interval(self.scores, within=self.within)


def sweep_table(points: Sequence[Point], measure: Measure = ACCURACY) -> str:
    """Format the points as aligned text, the best mean first, points with a diverged seed last."""
    names = list(points[0].values)
    sign = -1 if measure.higher else 1
    ordered = sorted(
        points, key=lambda point: sign * point.mean if math.isfinite(point.mean) else math.inf
    )
    columns = (*names, "seeds", f"val. {measure.name}", "95 % interval", "diverged")
    return aligned(columns, [_row(point, measure) for point in ordered])


def _row(point: Point, measure: Measure) -> tuple[str, ...]:
    interval = point.interval
    lost = sum(not math.isfinite(score) for score in point.scores)
    return (
        *(f"{value:g}" for value in point.values.values()),
        f"{len(point.scores)}",
        measure.shown(point.mean) if math.isfinite(point.mean) else "",
        f"{measure.number(interval.low)} to {measure.shown(interval.high)}" if interval else "",
        f"{lost}" if lost else "",
    )


def write_sweep(
    points: Sequence[Point], *, title: str, path: Path, measure: Measure = ACCURACY
) -> Path:
    """Draw the score against the first name of the grid, a line for each combination of the others.

    At most eight lines.
    """
    from matplotlib.ticker import MaxNLocator

    first, *rest = points[0].values
    figure = style.new_figure(width=6.4, height=3.9)
    ax = figure.add_axes((0.1, 0.15, 0.62 if rest else 0.86, 0.62))
    style.title(figure, title, CAPTION.format(measure.name, len(points[0].scores)))
    lines: dict[tuple[float, ...], list[Point]] = {}
    for point in points:
        lines.setdefault(tuple(point.values[name] for name in rest), []).append(point)
    shown = []
    for colour, (others, line) in zip(_COLOURS, lines.items(), strict=False):
        finite = [point for point in line if math.isfinite(point.mean)]
        drawn = sorted(finite, key=lambda point: point.values[first])
        x, y = (
            [point.values[first] for point in drawn],
            [measure.scale * point.mean for point in drawn],
        )
        ends = measure.scale * np.array([_ends(point) for point in drawn])
        name = ", ".join(f"{name} {value:g}" for name, value in zip(rest, others, strict=True))
        ax.errorbar(
            x,
            y,
            np.abs(ends.T - y),
            color=colour,
            linewidth=1.6,
            elinewidth=0.9,
            marker="o",
            markersize=3.5,
            label=name,
        )
        shown += ends.ravel().tolist()
    values = {point.values[first] for point in points}
    if min(values) > 0 and max(values) / min(values) >= 8:
        ax.set_xscale("log")
    if rest:
        ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=8.5)
    ax.set_ylim(style.limits(shown, measure))
    ax.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))
    ax.set_xlabel(first, size=9.5, color=style.INK)
    ax.yaxis.set_major_formatter(f"{{x:g}}{measure.unit}")
    ax.grid(axis="y", color=style.RULE, linewidth=0.7)
    style.strip(ax)
    return style.save(figure, path)


def _ends(point: Point) -> tuple[float, float]:
    interval = point.interval
    return (interval.low, interval.high) if interval else (point.mean, point.mean)
