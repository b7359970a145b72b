"""The learning rate of each layer group against epoch, as the run had them: a panel for each rung."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tljax.report import costs, style
from tljax.report.records import RATE, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL = 1.3  # inches
GAP = 0.115  # between two names at the ends of lines, of a panel's height


def write_rates(metrics: Mapping[str, Mapping[int, Series]], *, workdir: Path) -> Path | None:
    """`rates.png`: the rate at the end of each epoch, of each rung's first seed; None where no record has rates.

    A group's rate is the stage's times the group's multiplier. Seeds differ where a range test found the rate of each.
    """
    shown = {rung: groups for rung, seeds in metrics.items() if (groups := _groups(seeds))}
    if not shown:
        return None
    figure = style.new_figure(width=4.4, height=1.15 + PANEL * len(shown))
    height = figure.get_figheight()
    axes = figure.subplots(len(shown), 1, squeeze=False, gridspec_kw={"hspace": 0.62})[:, 0]
    figure.subplots_adjust(left=0.145, right=0.775, top=1 - 0.9 / height, bottom=0.45 / height)
    style.title(figure, "Learning rate of each layer group", "At the end of each epoch, logarithmic.")
    for ax, (rung, (seed, epochs, rates)) in zip(axes, shown.items(), strict=True):
        _panel(ax, f"{style.short(rung, 30)}, seed {seed}", epochs, rates)
    axes[-1].set_xlabel("epoch", size=9.5, color=style.INK)
    return style.save(figure, workdir / "rates.png")


def _groups(seeds: Mapping[int, Series]) -> tuple[int, np.ndarray, dict[str, np.ndarray]] | None:
    """(first seed, its epochs, group -> rates where they are positive)."""
    seed, series = next(iter(seeds.items()))
    rates = {costs.readable(name.removeprefix(RATE)): values for name, values in series.items() if RATE in name}
    rates = {name: np.where(values > 0, values, np.nan) for name, values in rates.items()}
    rates = {name: values for name, values in rates.items() if np.isfinite(values).any()}
    return (seed, series["epoch"], rates) if rates else None


def _panel(ax: "Axes", name: str, epochs: np.ndarray, rates: Mapping[str, np.ndarray]) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    order = sorted(rates, key=lambda group: -np.nanmax(rates[group]))
    for group, colour in zip(order, _colours(len(order)), strict=True):
        marker = "o" if len(epochs) <= 12 else None
        ax.plot(epochs, rates[group], color=colour, linewidth=1.6, marker=marker, markersize=3)
    ax.set_yscale("log")
    values = np.concatenate(list(rates.values()))
    low, high = np.nanmin(values), np.nanmax(values)
    room = max((high / low) ** 0.12, 1.5)
    ax.set_ylim(low / room, high * room)
    ax.yaxis.set_major_locator(LogLocator(numticks=4))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
    ax.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    ax.set_title(name, loc="left", size=9.5, color=style.INK, pad=5, parse_math=False)
    ax.grid(axis="y", color=style.RULE, linewidth=0.7)
    style.strip(ax)
    ax.tick_params(axis="both", which="both", labelsize=8, length=0)
    _names(ax, [(group, _last(rates[group])) for group in order], low / room, high * room)


def _names(ax: "Axes", ends: Sequence[tuple[str, float]], low: float, high: float) -> None:
    """Each group's name beside the end of its line, highest first, moved down where two would overlap."""
    top = 1.05
    for (group, value), colour in zip(ends, _colours(len(ends)), strict=True):
        height = min(float(np.log(value / low) / np.log(high / low)), top - GAP)
        top = height
        put = {"transform": ax.transAxes, "va": "center", "size": 7.5, "parse_math": False}
        ax.text(1.02, height, style.short(group, 16), color=colour, **put)


def _last(values: np.ndarray) -> float:
    return float(values[np.isfinite(values)][-1])


def _colours(count: int) -> list[str]:
    """From vermilion, the fastest, to blue: neighbours differ in lightness as well."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    scale = LinearSegmentedColormap.from_list("rates", [style.COLOURS["validation"], "#7a5c80", style.COLOURS["train"]])
    return [to_hex(scale(place)) for place in np.linspace(0, 1, count)]
