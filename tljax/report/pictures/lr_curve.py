"""A learning-rate range test in a picture: smoothed loss against rate, and the suggested rates."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tljax.report.pictures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tljax.train.lr_finder import Finding

ROW = 0.3  # inches, of a suggestion
LINE, MARK = style.COLOURS["train"], style.COLOURS["validation"]


def write_lr_curve(
    rung: str,
    findings: Mapping[int, "Finding"],
    *,
    workdir: Path,
    used: str = "valley",
    linear: bool = False,
    name: str = "lr_find.png",
) -> Path:
    """Draw the curves of a range test above its suggestions, as the picture `name`.

    Above: a curve per seed, their mean and band. Below: each suggestion, a dot per seed, a tick at
    the mean. `used` is the suggestion that a dashed line marks through both. All findings are of
    one sweep.
    """
    suggested = across(findings)
    figure = style.new_figure(width=4.6, height=4.2 + ROW * len(suggested))
    height = figure.get_figheight()
    below = (0.55 + ROW * len(suggested)) / height
    ax = figure.add_axes((0.19, below + 0.1 / height, 0.65, 1 - below - 1.12 / height))
    rows = figure.add_axes((0.19, 0.52 / height, 0.65, below - 0.52 / height), sharex=ax)
    about = f"Dashed: {used}, the rate that is used."
    if used not in suggested:
        about = "No rate suggested: it does not fall beyond its noise."
    style.title(figure, f"{rung}: learning-rate range test", _caption(findings, about))
    ax.set_xscale("linear" if linear else "log")
    _curves(ax, findings)
    _rows(rows, suggested, used)
    for each in (ax, rows):
        if used in suggested:
            each.axvline(
                mean_rate(suggested[used]),
                color=MARK,
                linewidth=1.1,
                linestyle=(0, (4, 3)),
                zorder=1,
            )
    rows.set_xlabel("learning rate", size=9.5, color=style.INK)
    return style.save(figure, workdir / name)


def across(findings: Mapping[int, "Finding"]) -> dict[str, list[float]]:
    """Map each suggestion to its rate in every seed that has it."""
    names = dict.fromkeys(name for finding in findings.values() for name in finding.suggestions)
    return {n: [f.suggestions[n] for f in findings.values() if n in f.suggestions] for n in names}


def mean_rate(rates: Sequence[float]) -> float:
    """Compute the geometric mean, because rates differ by factors."""
    return float(np.exp(np.mean(np.log(rates))))


def _caption(findings: Mapping[int, "Finding"], about: str) -> str:
    many = f"{len(findings)} seeds; thick: their mean; band: lowest to highest."
    seeds = (
        many if len(findings) > 1 else f"Seed {next(iter(findings))}; dots: the loss of each batch."
    )
    return f"{seeds}\nLoss smoothed (0.98). {about}"


def _curves(ax: "Axes", findings: Mapping[int, "Finding"]) -> None:
    rates = max((finding.rates for finding in findings.values()), key=len)
    smoothed = np.full((len(findings), len(rates)), np.nan)
    for row, finding in zip(smoothed, findings.values(), strict=True):
        row[: len(finding.smoothed)] = finding.smoothed
    # The mean of the seeds that are left would jump where one diverges: all of them or no mean.
    ax.plot(rates, smoothed.mean(axis=0), color=LINE, linewidth=2, zorder=3)
    if len(findings) > 1:
        ax.plot(rates, smoothed.T, color=LINE, linewidth=0.7, alpha=0.5)
        ax.fill_between(
            rates, smoothed.min(axis=0), smoothed.max(axis=0), color=LINE, alpha=0.14, linewidth=0
        )
    else:
        losses = next(iter(findings.values())).losses
        ax.plot(rates, losses, "o", color=LINE, markersize=2.2, alpha=0.35, markeredgewidth=0)
    _loss_axis(ax, smoothed[np.isfinite(smoothed)], smoothed)
    ax.set_title("training loss", loc="left", size=9.5, color=style.INK, pad=7)
    ax.grid(axis="y", color=style.RULE, linewidth=0.7)
    style.strip(ax)
    ax.tick_params(labelbottom=False)


def _loss_axis(ax: "Axes", finite: np.ndarray, smoothed: np.ndarray) -> None:
    """Show the descent in full and as much again of the rise, so that divergence dwarfs nothing."""
    if not len(finite):
        ax.text(0.5, 0.5, "no finite loss", color=style.FAINT, ha="center", transform=ax.transAxes)
        return
    low, start = float(finite.min()), float(np.nanmax(smoothed[:, 0]))
    room = max(start - low, 0.1 * abs(start), 1e-6)
    ax.set_ylim(low - 0.15 * room, start + 0.8 * room)


def _rows(ax: "Axes", suggested: Mapping[str, list[float]], used: str) -> None:
    text = partial(
        ax.text, transform=ax.get_yaxis_transform(), va="center", size=8.5, clip_on=False
    )
    for place, (name, rates) in enumerate(suggested.items()):
        colour, weight = (MARK, "bold") if name == used else (style.INK, "normal")
        ax.axhline(place, color=style.RULE, linewidth=0.7, zorder=0)
        ax.plot(
            rates,
            [place] * len(rates),
            "o",
            color=colour,
            markersize=4.2,
            alpha=0.65,
            markeredgewidth=0,
        )
        ax.plot(
            [mean_rate(rates)] * 2,
            [place - 0.22, place + 0.22],
            color=colour,
            linewidth=1.6,
            zorder=4,
        )
        text(-0.02, place, name, color=colour, weight=weight, ha="right")
        text(1.01, place, f"{mean_rate(rates):.1e}", color=colour, weight=weight)
    ax.set_ylim(len(suggested) - 0.4, -0.6)
    ax.yaxis.set_visible(False)
    style.strip(ax)
