"""A rung's reliability diagram: accuracy against confidence, and a histogram of confidence."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tljax.report.pictures import style
from tljax.report.stats import calibration
from tljax.report.tables import trust
from tljax.runs.predictions import Predictions, softmax

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_reliability(
    rung: str, predictions: Predictions, *, fitted_on: Predictions | None, split: str, workdir: Path
) -> Path:
    """Draw `reliability.png`, all runs of the rung together, as trained and with a temperature.

    Without a temperature where there is nothing to fit (`trust.tempered`).
    """
    labels = np.tile(predictions.labels, len(predictions.seeds))
    fitted = [
        trust.tempered(run, predictions, fitted_on=fitted_on)
        for run in range(len(predictions.seeds))
    ]
    shown = {"as trained": (np.concatenate(predictions.logits), style.COLOURS["validation"])}
    after = [pair[0] for pair in fitted if pair]
    if len(after) == len(fitted):
        shown["with a temperature"] = np.concatenate(after), style.SET
    figure = style.new_figure(width=4.4, height=4.4)
    axes = figure.subplots(2, 1, sharex=True, gridspec_kw={"hspace": 0.22, "height_ratios": (3, 1)})
    figure.subplots_adjust(left=0.145, right=0.96, top=0.77, bottom=0.11)
    runs = len(predictions.seeds)
    count = predictions.task.worded(f"{len(predictions.labels):,} {split} images")
    counts = f"{count}, {runs} run{'s' if runs > 1 else ''}"
    style.title(
        figure,
        f"{rung}: reliability",
        f"{counts}; 15 bins of equal width.\nDashed: a confidence of p is right in p of the cases.",
    )
    lowest = 100 / len(predictions.classes)
    axes[0].plot([lowest, 100], [lowest, 100], color=style.FAINT, linewidth=1, linestyle="--")
    for i, (name, (logits, colour)) in enumerate(shown.items()):
        bins = calibration.reliability(softmax(logits), labels)
        # The mean of the runs', as the table has it: that of all together would be smaller.
        of_runs = [
            calibration.ece(softmax(run), predictions.labels) for run in np.split(logits, runs)
        ]
        said = "too few for an ECE" if trust.few(predictions) else f"ECE {np.mean(of_runs):.3f}"
        _line(axes[0], bins, f"{name}: {said}", colour, place=i)
        _histogram(axes[1], bins, colour, filled=i == 0)
    _axes(axes, lowest)
    return style.save(figure, workdir / "reliability.png")


def _line(ax: "Axes", bins: calibration.Bins, label: str, colour: str, *, place: int) -> None:
    """Draw accuracy against confidence, with dots that grow with the number of images.

    A bin of three images is then not mistaken for one of three hundred.
    """
    sizes = 12 + 90 * bins.count / bins.count.max()
    ax.plot(100 * bins.confidence, 100 * bins.accuracy, color=colour, linewidth=1.4, zorder=3)
    ax.scatter(
        100 * bins.confidence,
        100 * bins.accuracy,
        s=sizes,
        color=colour,
        alpha=0.75,
        linewidths=0,
        zorder=4,
        clip_on=False,
    )
    ax.text(
        0.98, 0.13 - 0.075 * place, label, size=9, color=colour, ha="right", transform=ax.transAxes
    )


def _histogram(ax: "Axes", bins: calibration.Bins, colour: str, *, filled: bool) -> None:
    percents = 100 * bins.count / bins.count.sum()
    bars = partial(
        ax.bar, 100 * bins.low, percents, width=100 * (bins.high - bins.low), align="edge"
    )
    if filled:
        bars(color=colour, alpha=0.35)
    else:
        bars(fill=False, edgecolor=colour, linewidth=1.4)


def _axes(axes: "np.ndarray", lowest: float) -> None:
    for ax, label in zip(axes, ("accuracy", "of them"), strict=True):
        ax.set_xlim(min(lowest, 50) - 2, 102)
        ax.xaxis.set_major_formatter("{x:.0f} %")
        ax.yaxis.set_major_formatter("{x:.0f} %")
        ax.set_title(label, loc="left", size=9.5, color=style.INK, pad=7)
        ax.grid(axis="y", color=style.RULE, linewidth=0.7)
        ax.set_axisbelow(True)
        style.strip(ax)
    axes[0].set_ylim(-2, 102)
    axes[1].set_xlabel("confidence", size=9.5, color=style.INK)
