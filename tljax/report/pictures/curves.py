"""Loss and score against epoch: a picture for each rung."""

import hashlib
import urllib.parse
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tljax.report.pictures import style
from tljax.report.stats import intervals
from tljax.runs.metrics import SPLITS, Series
from tljax.tasks.classification import ACCURACY
from tljax.tasks.task import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Metrics = Mapping[str, Mapping[int, Series]]  # of each rung and seed
LONGEST = 200  # characters of a file name, which file systems hold 255 bytes of
LOSS = Measure("loss", scale=1.0, unit="", digits=3, higher=False, share=False)
MARKED = 12  # epochs at most that have a mark each
LABEL_GAP = 0.27  # of a panel's height: two lines of text


def curves_name(rung: str) -> str:
    """Name the file of a rung's picture.

    Characters that do not belong in a file name are percent-encoded, and a long name is cut.
    """
    quoted = urllib.parse.quote(rung, safe=" +=,@", errors="surrogatepass")
    if len(quoted) > LONGEST:
        quoted = f"{quoted[:100]}~{hashlib.sha256(quoted.encode()).hexdigest()[:16]}"
    return f"curves_{quoted}.png"


def write_curves(
    metrics: Metrics,
    *,
    workdir: Path,
    measure: Measure = ACCURACY,
    solved: Collection[str] = (),
) -> list[Path]:
    """Draw each rung's curves as `workdir/curves_RUNG.png`, all on one scale.

    Those that were `solved` have no epochs: theirs are level.
    """
    return [
        draw_curves(
            rung,
            seeds,
            path=workdir / curves_name(rung),
            among=metrics,
            measure=measure,
            solved=rung in solved,
        )
        for rung, seeds in metrics.items()
    ]


def draw_curves(
    rung: str,
    seeds: Mapping[int, Series],
    *,
    path: Path,
    among: Metrics | None = None,
    measure: Measure = ACCURACY,
    solved: bool = False,
) -> Path:
    """Draw loss above the score against epoch: a thin line per seed, their mean, lowest to highest.

    What lies between the lowest and the highest seed is a band. The axes have room for all rungs of
    `among`, so that pictures compare. A rung that was `solved` has a level line, its solution's
    score, across a panel without epochs. Written whole, as PNG.
    """
    shown = {seed: _level(series) for seed, series in seeds.items()} if solved else seeds
    figure = style.new_figure(width=3.6, height=4.2)
    axes = figure.subplots(2, 1, sharex=True, gridspec_kw={"hspace": 0.34})
    figure.subplots_adjust(left=0.15, right=0.745, top=0.79, bottom=0.11)
    style.title(figure, style.short(rung, 36), _curves_caption(seeds))
    for ax, metric in zip(axes, (LOSS, measure), strict=True):
        _panel(ax, shown, metric, every=_every(among or {rung: shown}, metric))
    about = "solved at once, without epochs" if solved else "epoch"
    axes[1].set_xlabel(about, size=9.5, color=style.INK)
    _epoch_axis(axes[1], np.concatenate([series["epoch"] for series in shown.values()]))
    if solved:
        axes[1].set_xticks([])
    return style.save(figure, path)


def _level(series: Series) -> Series:
    """Return a solved rung's last values at places enough for a line without a mark at each."""
    places = np.arange(1, MARKED + 2)
    return {
        name: places if name == "epoch" else np.full(len(places), values[-1])
        for name, values in series.items()
    }


def _curves_caption(seeds: Mapping[int, Series]) -> str:
    many = f"{len(seeds)} seeds: mean, each, and their range."
    return "\n".join(
        [many if len(seeds) > 1 else f"One run, seed {next(iter(seeds))}.", *_remarks(seeds)]
    )


def _remarks(seeds: Mapping[int, Series]) -> list[str]:
    """Describe what the picture cannot show, in one line: early stops and non-finite values."""
    last = max(series["epoch"][-1] for series in seeds.values())
    remarks = [
        f"seed {s} ends at epoch {x['epoch'][-1]}"
        for s, x in seeds.items()
        if x["epoch"][-1] < last
    ]
    for seed, series in seeds.items():
        known = [_known(series, name) for name in series if name.split("/")[0] in SPLITS]
        gaps = series["epoch"][~np.all(known, axis=0)]
        if len(gaps):
            others = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
            remarks.append(f"seed {seed} not finite at epoch {gaps[0]}{others}")
    shown = (
        remarks if len(remarks) <= 2 else [remarks[0], f"{len(remarks) - 1} more remarks on seeds"]
    )
    return ["; ".join(shown)] if remarks else []


def _known(series: Series, name: str) -> np.ndarray:
    """Mark the epochs whose value is finite, or not expected: epoch 0 has no training values."""
    return np.isfinite(series[name]) | (name.startswith("train/") & (series["epoch"] == 0))


def _every(metrics: Metrics, metric: Measure) -> np.ndarray:
    """Collect the finite values of a metric over splits, rungs and seeds: losses, or percent."""
    values = np.concatenate(
        [
            series[f"{split}/{metric.name}"]
            for seeds in metrics.values()
            for series in seeds.values()
            for split in style.COLOURS
        ]
    )
    return values[np.isfinite(values)] * metric.scale


def _panel(ax: "Axes", seeds: Mapping[int, Series], metric: Measure, *, every: np.ndarray) -> None:
    labels, shown = [], []
    for split, colour in style.COLOURS.items():
        epochs, values = intervals.together(seeds, f"{split}/{metric.name}")
        values = values * metric.scale
        shown.append(values[np.isfinite(values)])
        # The mean of the seeds that are left would jump where one stops or diverges: all of them
        # or no mean.
        average = values.mean(axis=0)
        marker = "o" if len(epochs) <= MARKED else None
        ax.plot(epochs, average, color=colour, marker=marker, markersize=3.2, linewidth=2, zorder=3)
        if epochs[0] == 0:  # before the first step
            ring = {"markerfacecolor": "white", "markeredgecolor": colour, "markersize": 6}
            ax.plot(epochs[:1], average[:1], "o", color=colour, zorder=4, clip_on=False, **ring)
        if len(seeds) > 1:
            ax.plot(
                epochs,
                values.T,
                color=colour,
                marker=marker,
                markersize=1.8,
                linewidth=0.7,
                alpha=0.45,
            )
            band = values.min(axis=0), values.max(axis=0)
            ax.fill_between(epochs, *band, color=colour, alpha=0.12, linewidth=0)
        labels.append((split, average, values))
    if metric is not LOSS:
        ax.set_ylim(style.limits(every, metric))
        ax.yaxis.set_major_formatter(f"{{x:g}}{metric.unit}")
    else:
        _loss_axis(ax, np.concatenate(shown), every)
    ax.set_title(metric.name, loc="left", size=9.5, color=style.INK, pad=7)
    ax.grid(axis="y", color=style.RULE, linewidth=0.7)
    style.strip(ax)
    _end_labels(ax, labels, measure=metric)


def _end_labels(
    ax: "Axes", lines: Sequence[tuple[str, np.ndarray, np.ndarray]], *, measure: Measure
) -> None:
    """Write each split's name and last mean at the end of its line, apart where they overlap."""
    low, high = ax.get_ylim()
    ends = []
    for split, average, values in lines:
        finite = values.T[np.isfinite(values.T)]
        if len(finite):
            value = (
                f"\n{average[-1]:.{measure.digits}f}{measure.unit}"
                if np.isfinite(average[-1])
                else ""
            )
            height = (average[-1] if value else finite[-1]) - low
            ends.append(
                [
                    min(max(height / (high - low), 0.0), 1.0),
                    SPLITS[split] + value,
                    style.COLOURS[split],
                ]
            )
    ends.sort()
    if len(ends) == 2 and ends[1][0] - ends[0][0] < LABEL_GAP:
        middle = min(max((ends[0][0] + ends[1][0]) / 2, LABEL_GAP / 2), 1 - LABEL_GAP / 2)
        ends[0][0], ends[1][0] = middle - LABEL_GAP / 2, middle + LABEL_GAP / 2
    for height, text, colour in ends:
        ax.text(1.02, height, text, color=colour, size=9, va="center", transform=ax.transAxes)
    if not ends:
        ax.text(
            0.5, 0.5, "no finite values", color=style.FAINT, ha="center", transform=ax.transAxes
        )


def _loss_axis(ax: "Axes", values: np.ndarray, every: np.ndarray) -> None:
    """Set the axis from 0 to the highest loss of `every`.

    Where a few values dwarf the rest the axis ends below them, with a note.
    """
    top, own = every.max(initial=0.0) or 1.0, values.max(initial=0.0)
    usual = 3 * float(np.percentile(every, 90)) if len(every) else 1.0
    top = usual if top > usual > 0 else top
    if own > top:
        ax.text(
            0.99,
            0.97,
            f"off the scale: up to {own:.3g}",
            transform=ax.transAxes,
            color=style.FAINT,
            size=8,
            ha="right",
            va="top",
            backgroundcolor="white",
        )
    ax.set_ylim(0, 1.05 * top)


def _epoch_axis(ax: "Axes", epochs: np.ndarray) -> None:
    from matplotlib.ticker import MaxNLocator

    low, high = epochs.min(), epochs.max()
    margin = 0.02 * (high - low) or 0.5
    ax.set_xlim(low - margin, high + margin)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
    if low == high:
        ax.set_xticks([low])
