"""How far each layer moved from the pretrained weights, for every rung that trains the base."""

import math
from pathlib import Path

import numpy as np

from tljax.report.pictures import style

# Of Okabe and Ito, without blue and vermilion, which are training and validation on the same page.
_COLOURS = ("#222222", "#cc79a7", "#009e73", "#e69f00", "#56b4e9")
CAPTION = (
    "As a share of their norm, from input to output.\n"
    "Mean over seeds, from the least to the most; 0: frozen."
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
    """Draw a line for each rung over the layers, the input at the top; None where nothing moved."""
    rungs = curves(results)
    if not rungs:
        return None
    modules = list(next(iter(rungs.values())))
    named = modules[:: math.ceil(len(modules) / NAMED)]
    top, tall = 0.78 + 0.2 * len(rungs), 0.4 + 0.19 * len(named)
    height = top + tall + 0.3
    figure = style.new_figure(width=4.4, height=height)
    style.title(figure, "Distance from the pretrained weights", CAPTION)
    ax = figure.add_axes((0.33, 0.3 / height, 0.61, tall / height))
    places = np.arange(len(modules))
    for place, (colour, (rung, by_module)) in enumerate(zip(_COLOURS, rungs.items(), strict=False)):
        values = 100 * np.array([by_module[module] for module in modules])
        ax.fill_betweenx(places, values.min(1), values.max(1), color=colour, alpha=0.2, linewidth=0)
        ax.plot(
            values.mean(1), places, "o-", color=colour, linewidth=1.6, markersize=3, clip_on=False
        )
        label = f"● {style.short(rung, 46)}"
        at = 1 - (0.78 + 0.2 * place) / height
        figure.text(0.04, at, label, color=colour, size=9, va="top", parse_math=False)
    labels = [style.short(name, 20) for name in named]
    ax.set_yticks([modules.index(name) for name in named], labels, parse_math=False)
    ax.set_ylim(len(modules) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter("{x:g} %")
    ax.locator_params(axis="x", nbins=5)
    ax.grid(axis="x", color=style.RULE, linewidth=0.7)
    style.strip(ax)
    ax.tick_params(labelsize=8)
    return style.save(figure, workdir / "moved.png")
