"""Learning rates of each layer group against the step, planned and recorded, a panel a rung."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tljax.report.pictures import style
from tljax.report.tables import costs
from tljax.runs.metrics import RATE, Series
from tljax.runs.planned import Stages

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL = 1.35  # inches
GAP = 0.16  # between two names at the ends of lines, of a panel's height
# Of the axis below the lowest group's peak: a cosine's end would take many decades more.
DEPTH = 30.0

Rates = dict[str, np.ndarray]  # group -> its rate at each step, or at the end of each epoch


@dataclass(frozen=True)
class Panel:
    """One rung's recorded rates in its first seed, at the end of each epoch, and any planned ones.

    `steps` are the optimizer steps taken by the end of each epoch.
    """

    rung: str
    seed: int
    steps: np.ndarray
    recorded: Rates
    planned: Rates


def write_rates(
    metrics: Mapping[str, Mapping[int, Series]], stages: Stages, *, plan: Mapping, workdir: Path
) -> Path | None:
    """Draw `rates.png`; None where no record has rates.

    `plan` is the one in config.json, with each group's multiplier. Seeds differ only where a range
    test found the rate of each; then nothing was planned, and the first is shown.
    """
    shown = [
        panel
        for rung, seeds in metrics.items()
        if (panel := _panel(rung, seeds, dict(stages), plan))
    ]
    if not shown:
        return None
    figure = style.new_figure(width=4.4, height=1.3 + PANEL * len(shown))
    height = figure.get_figheight()
    axes = figure.subplots(len(shown), 1, squeeze=False, gridspec_kw={"hspace": 0.65})[:, 0]
    figure.subplots_adjust(left=0.145, right=0.775, top=1 - 1.05 / height, bottom=0.48 / height)
    caption = "Line: as planned; dots: as the run had it\nat the end of each epoch. Logarithmic."
    style.title(figure, "Learning rate of each layer group", caption)
    for ax, panel in zip(axes, shown, strict=True):
        _draw(ax, panel)
    axes[-1].set_xlabel("step", size=9.5, color=style.INK)
    return style.save(figure, workdir / "rates.png")


def _panel(
    rung: str, seeds: Mapping[int, Series], stages: Mapping[str, Mapping], plan: Mapping
) -> Panel | None:
    seed, series = next(iter(seeds.items()))
    recorded = {name.removeprefix(RATE): values for name, values in series.items() if RATE in name}
    if not recorded or "step" not in series:
        return None
    lr, multipliers = stages.get(rung, {}).get("lr"), costs.multipliers(plan.get(rung))
    planned = {
        name: lr * multipliers[name] for name in recorded if lr is not None and name in multipliers
    }
    return Panel(rung, seed, series["step"], _merged(recorded), _merged(planned))


def _merged(rates: Rates) -> Rates:
    """Name groups readably, and merge those of equal rates into one line."""
    merged: dict[bytes, list[str]] = {}
    for name, values in rates.items():
        merged.setdefault(values.tobytes(), []).append(costs.readable(name))
    lines = {values.tobytes(): values for values in rates.values()}
    return {", ".join(names): lines[key] for key, names in merged.items()}


def _draw(ax: "Axes", panel: Panel) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    peaks = {name: _peak(panel, name) for name in {**panel.planned, **panel.recorded}}
    order = sorted((name for name in peaks if peaks[name] > 0), key=lambda name: -peaks[name])
    for name, colour in zip(order, _colours(len(order)), strict=True):
        if name in panel.planned:
            line = panel.planned[name]
            ax.plot(np.arange(1, len(line) + 1), _positive(line), color=colour, linewidth=1.6)
        if name in panel.recorded:
            ax.plot(panel.steps, _positive(panel.recorded[name]), "o", color=colour, markersize=3)
    ax.set_yscale("log")
    if order:
        ax.set_ylim(peaks[order[-1]] / DEPTH, peaks[order[0]] * 2)
    ax.yaxis.set_major_locator(LogLocator(numticks=5))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    ax.set_xlim(0, 1.02 * max(panel.steps[-1], *map(len, panel.planned.values()), 1))
    panel_title = f"{style.short(panel.rung, 30)}, seed {panel.seed}"
    ax.set_title(panel_title, loc="left", size=9.5, color=style.INK, pad=5, parse_math=False)
    ax.grid(axis="y", color=style.RULE, linewidth=0.7)
    style.strip(ax)
    ax.tick_params(axis="both", which="both", labelsize=8, length=0)
    _names(ax, order, [peaks[name] for name in order])


def _names(ax: "Axes", names: Sequence[str], peaks: Sequence[float]) -> None:
    """Write each group's name at the height of its peak, moved down where two would overlap."""
    low, high = ax.get_ylim()
    above = 1.0 + GAP
    for place, (name, peak, colour) in enumerate(
        zip(names, peaks, _colours(len(names)), strict=True)
    ):
        height = max(
            min(float(np.log(peak / low) / np.log(high / low)), above - GAP),
            GAP * (len(names) - 1 - place),
        )
        above = height
        ax.text(
            1.02,
            height,
            style.short(name, 16),
            color=colour,
            transform=ax.transAxes,
            va="center",
            size=8,
            parse_math=False,
        )


def _peak(panel: Panel, name: str) -> float:
    values = [_positive(each[name]) for each in (panel.planned, panel.recorded) if name in each]
    return float(np.nan_to_num(np.concatenate(values)).max(initial=0.0))


def _positive(values: np.ndarray) -> np.ndarray:
    """Replace values that a logarithmic axis cannot show with NaN."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def _colours(count: int) -> list[str]:
    """Grade the green of what is set, dark for the fastest group to light."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    scale = LinearSegmentedColormap.from_list("rates", ["#00513b", style.SET, "#7fbfa9"])
    return [to_hex(scale(place)) for place in np.linspace(0, 1, count)]
