"""Domain adaptation in a picture: the accuracy of each way to a target, bars grouped by target."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tljax.report.pictures import style
from tljax.report.tables import table
from tljax.runs.results import by_rung

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito (2008): grey for what did not adapt, blue without and vermilion with labels of the
# target.
COLOURS = ("#9a9a9a", *style.COLOURS.values())
BAR, GAP = 0.26, 0.34


def write_domains(source: dict, targets: Mapping[str, dict], *, workdir: Path) -> Path:
    """Draw `domain.png`: a group of bars for each target, a bar for each way.

    `targets` holds the results (`read_results`) of each target, all with the same ways. The
    dashed line is the accuracy on the source's own validation images.
    """
    ways = list(by_rung(next(iter(targets.values()))))
    group = len(ways) * BAR + GAP
    figure = style.new_figure(width=6.2, height=1.55 + (len(targets) * group - GAP + 0.1))
    height = figure.get_figheight()
    ax = figure.add_axes((0.15, 0.4 / height, 0.8, 1 - 1.55 / height))
    at_home, _ = table.score(next(iter(by_rung(source).values())))
    name = source["data"].get("source", "")
    caption = (
        "Validation accuracy on the target. Line: 95 % interval, dots: seeds.\n"
        f"Dashed: {table.percent(at_home)} on the source, {style.short(name, 50)}."
    )
    style.title(figure, "From one domain to another", caption)
    for place, results in enumerate(targets.values()):
        for i, (colour, rows) in enumerate(zip(COLOURS, by_rung(results).values(), strict=True)):
            _bar(ax, rows, height=place * group + i * BAR, colour=colour)
    ax.set_xlim(0, 100)  # bars say nothing where they do not start at 0
    ax.axvline(100 * at_home, color=style.INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    ax.set_ylim((len(targets) - 1) * group + (len(ways) - 0.5) * BAR + 0.05, -0.5 * BAR - 0.05)
    ax.set_yticks(
        [place * group + BAR * (len(ways) - 1) / 2 for place in range(len(targets))], list(targets)
    )
    for left, way, colour in zip((0.0, 0.25, 0.42), ways, COLOURS, strict=True):
        ax.text(
            left,
            1 + 0.06 / (height - 1.55),
            way,
            size=9,
            weight="bold",
            color=colour,
            va="bottom",
            transform=ax.transAxes,
        )
    ax.xaxis.set_major_formatter("{x:.0f} %")
    ax.grid(axis="x", color=style.RULE, linewidth=0.7)
    ax.set_axisbelow(True)
    style.strip(ax)
    return style.save(figure, workdir / "domain.png")


def _bar(ax: "Axes", rows: list[dict], *, height: float, colour: str) -> None:
    """Draw one way of one target at this height: its mean, interval and seeds."""
    average, interval = table.score(rows)
    ax.barh(height, 100 * average, height=0.9 * BAR, color=colour)
    if interval:
        ax.plot(
            [100 * interval.low, 100 * interval.high],
            [height, height],
            color=style.INK,
            linewidth=1.2,
        )
    seeds = [100 * row["validation"]["accuracy"] for row in rows]
    ax.plot(
        seeds,
        [height] * len(seeds),
        "o",
        markersize=3,
        color=style.INK,
        alpha=0.65,
        markeredgewidth=0,
    )
    ax.text(1, height, table.percent(average), size=8, color="white", va="center")


def cells(targets: Mapping[str, dict]) -> list[list[str]]:
    """List a row for each target and way: target, way, mean accuracy, its interval, each seed."""
    return [
        [
            target,
            way,
            table.percent(table.score(rows)[0]),
            table.interval_text(table.score(rows)[1]),
            _each(rows),
        ]
        for target, results in targets.items()
        for way, rows in by_rung(results).items()
    ]


def _each(rows: list[dict]) -> str:
    return ", ".join(f"{100 * row['validation']['accuracy']:.1f}" for row in rows)
