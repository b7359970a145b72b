"""How many features of each layer a selection keeps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tljax.report.pictures import style

CAPTION = "Share of each layer's features, from input to output; {}."


def write_kept(
    counts: Sequence[Mapping[str, int]], widths: Mapping[str, int], *, path: Path
) -> Path:
    """Draw a bar for each layer; `counts` has what each seed keeps, `widths` what there is."""
    names = list(widths)
    kept = np.array([[each[name] for name in names] for each in counts])
    shares = 100 * kept / np.array(list(widths.values()))
    mean = shares.mean(0)
    height = 1.35 + 0.24 * len(names)
    figure = style.new_figure(width=6.4, height=height)
    several = f"mean of {len(counts)} seeds, line: lowest to highest"
    caption = CAPTION.format(several if len(counts) > 1 else "in figures, how many of how many")
    style.title(figure, "Features that are kept, by layer", caption)
    ax = figure.add_axes((0.2, 0.45 / height, 0.62, 1 - 1.2 / height))
    places = np.arange(len(names))
    ax.barh(places, mean, height=0.62, color=style.COLOURS["train"])
    if len(counts) > 1:
        ax.hlines(places, shares.min(0), shares.max(0), color=style.INK, linewidth=1)
    most = max(shares.max(), 1.0)
    for place, (share, name) in enumerate(zip(shares.max(0), names, strict=True)):
        ax.text(
            share + 0.015 * most,
            place,
            f"{kept[:, place].mean():.0f} of {widths[name]:,}",
            size=8,
            va="center",
            color=style.FAINT,
        )
    ax.set_yticks(places, [style.short(name, 18) for name in names], parse_math=False)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, most)
    ax.set_axisbelow(True)
    ax.xaxis.set_major_formatter("{x:g} %")
    ax.grid(axis="x", color=style.RULE, linewidth=0.7)
    style.strip(ax)
    return style.save(figure, path)
