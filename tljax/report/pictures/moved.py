"""How far each layer moved from the pretrained weights, for every rung that trains the base."""

import math
from pathlib import Path

import numpy as np

from tljax.report.pictures import style

_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
CAPTION = (
    "Distance from the pretrained weights, as a share of their norm.\n"
    "Mean over seeds, from the least to the most; what is frozen is at 0."
)
NAMED = 20  # layers along the axis; of more, some


def curves(results: dict) -> dict[str, dict[str, list[float]]]:
    """Read rung -> module -> the distance of each seed, of the rungs in which the base moved."""
    noted = results.get("moved")
    rungs: dict[str, dict[str, list[float]]] = {}
    for rung, seeds in (noted if isinstance(noted, dict) else {}).items():
        by_module: dict[str, list[float]] = {}
        for modules in seeds.values():
            for module, value in modules.items():
                by_module.setdefault(module, []).append(math.nan if value is None else value)
        if any(value != 0 for values in by_module.values() for value in values):
            rungs[rung] = by_module
    return rungs


def write_moved(results: dict, *, workdir: Path) -> Path | None:
    """Draw a line for each rung over the layers from input to output; None where nothing moved."""
    rungs = curves(results)
    if not rungs:
        return None
    modules = list(next(iter(rungs.values())))
    figure = style.new_figure(width=6.4, height=4.2)
    style.title(figure, "How far each layer moved", CAPTION)
    ax = figure.add_axes((0.1, 0.3, 0.86, 0.49))
    places = np.arange(len(modules))
    for colour, (rung, by_module) in zip(_COLOURS, rungs.items(), strict=False):
        values = 100 * np.array([by_module[module] for module in modules])
        ax.fill_between(places, values.min(1), values.max(1), color=colour, alpha=0.2, linewidth=0)
        label = style.short(rung, 24)
        ax.plot(
            places, values.mean(1), "o-", color=colour, linewidth=1.6, markersize=3, label=label
        )
    step = math.ceil(len(modules) / NAMED)
    ax.set_xticks(places[::step], modules[::step], rotation=90, parse_math=False)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter("{x:g} %")
    ax.grid(axis="y", color=style.RULE, linewidth=0.7)
    legend = ax.legend(frameon=False, fontsize=8.5, loc="upper left")
    for text in legend.get_texts():
        text.set_parse_math(False)
    style.strip(ax)
    ax.tick_params(axis="x", labelsize=7)
    return style.save(figure, workdir / "moved.png")
