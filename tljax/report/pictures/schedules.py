"""A plan's hyperparameters against the step over all stages, drawn before training."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tljax.report.pictures import style
from tljax.runs.planned import Stages

if TYPE_CHECKING:
    from matplotlib.axes import Axes


FAR_APART = 20.0  # between two stages' peaks: beyond it the smaller looks flat on a linear axis
# Of a logarithmic axis below the smallest peak; a one-cycle's end would take five decades more.
DEPTH = 100.0
PANEL = 1.15  # inches
CAPTION, ROOM = 56, 46  # characters of a line above the panels, and along one


def write_schedules(stages: Stages, *, workdir: Path) -> Path:
    """Draw `schedules.png`: a panel for each hyperparameter that varies, the stages side by side.

    Hyperparameters come in order of first appearance. Those of one value wherever they are used are
    named in the caption, unless there are no others.
    """
    names = list(dict.fromkeys(name for _, values in stages for name in values))
    constants = _constants(stages, names)
    if len(constants) < len(names):
        names = [name for name in names if name not in constants]
    else:
        constants = {}
    edges = np.cumsum([0, *(max(len(v) for v in values.values()) for _, values in stages)])
    fixed = [f"{_readable(name)} {value:g}" for name, value in constants.items()]
    told = textwrap.wrap(f"Constant: {', '.join(fixed)}.", CAPTION) if fixed else []
    rooms = ROOM * np.diff(edges) / edges[-1]
    cut = any(len(name) > room for (name, _), room in zip(stages, rooms, strict=True))
    top = 0.9 + 0.16 * len(told) + 0.16 * cut  # inches above the first panel
    figure = style.new_figure(width=4.4, height=top + 0.53 + PANEL * len(names))
    height = figure.get_figheight()
    axes = figure.subplots(len(names), 1, sharex=True, squeeze=False, gridspec_kw={"hspace": 0.42})[
        :, 0
    ]
    figure.subplots_adjust(left=0.16, right=0.955, top=1 - top / height, bottom=0.45 / height)
    count = f"{len(stages)} stages" if len(stages) > 1 else "one stage"
    caption = "\n".join([f"{edges[-1]:,} steps in {count}.", *told])
    style.title(figure, "The plan's schedules", caption)
    for ax, name in zip(axes, names, strict=True):
        _panel(ax, name, [values.get(name, np.array([])) for _, values in stages], edges)
    _stage_names(axes[0], [name for name, _ in stages], edges, cut=cut)
    axes[-1].set_xlabel("step", size=9.5, color=style.INK)
    axes[-1].set_xlim(-0.01 * edges[-1], 1.01 * edges[-1])
    return style.save(figure, workdir / "schedules.png")


def _readable(name: str) -> str:
    """Write a hyperparameter's name in words."""
    words = {"lr": "learning rate", "augment": "augmentation"}
    return words.get(name, name.replace("_", " "))


def _constants(stages: Stages, names: Sequence[str]) -> dict[str, float]:
    """Map the hyperparameters of a single value, in all stages that have them, to it."""
    used = {name: [values[name] for _, values in stages if name in values] for name in names}
    found = {name: np.unique(np.concatenate(parts)) for name, parts in used.items()}
    return {name: float(values[0]) for name, values in found.items() if len(values) == 1}


def _panel(ax: "Axes", name: str, parts: Sequence[np.ndarray], edges: np.ndarray) -> None:
    for first, values in zip(edges, parts, strict=False):
        # A value holds for its whole step: without the repeated last one a stage of one step would
        # not be seen.
        steps = [*values, *values[-1:]]
        ax.step(
            first + np.arange(len(steps)),
            steps,
            where="post",
            color=style.SET,
            linewidth=1.6,
        )
    for edge in edges[1:-1]:
        ax.axvline(edge, color=style.RULE, linewidth=0.9, zorder=0)
    _value_axis(ax, [values for values in parts if len(values)])
    ax.set_title(_readable(name), loc="left", size=9.5, color=style.INK, pad=5, parse_math=False)
    ax.grid(axis="y", color=style.RULE, linewidth=0.7)
    style.strip(ax)
    ax.tick_params(labelsize=8)


def _value_axis(ax: "Axes", parts: Sequence[np.ndarray]) -> None:
    """Scale linearly from 0 where the stages' peaks are close, otherwise logarithmically."""
    peaks = [float(np.max(values)) for values in parts]
    lowest = min(float(np.min(values)) for values in parts)
    if min(peaks) > 0 and max(peaks) > FAR_APART * min(peaks):
        ax.set_yscale("log")
        ax.set_ylim(max(lowest, min(peaks) / DEPTH) / 1.5, max(peaks) * 1.5)
        return
    # Momenta move between 0.85 and 0.95: from 0 on they would be one flat line.
    start = 0.0 if lowest < 0.5 * max(peaks) or lowest == max(peaks) else lowest
    margin = 0.06 * (max(peaks) - start) or 0.5
    ax.set_ylim(start - margin, max(peaks) + margin)
    ax.locator_params(axis="y", nbins=4)


def _stage_names(ax: "Axes", names: Sequence[str], edges: np.ndarray, *, cut: bool) -> None:
    """Write the stages' names above the first panel, each shortened to its share of the width.

    Where one would be `cut`, every other stands a line higher, and each has twice the room.
    """
    for place, (name, first, last) in enumerate(zip(names, edges, edges[1:], strict=False)):
        room = int((2 if cut else 1) * ROOM * (last - first) / edges[-1])
        if room >= 2:
            ax.text(
                (first + last) / 2,
                1.3 if cut and place % 2 else 1.16,
                style.short(name, room),
                transform=ax.get_xaxis_transform(),
                size=8.5,
                color=style.FAINT,
                ha="center",
                va="bottom",
                parse_math=False,
            )
