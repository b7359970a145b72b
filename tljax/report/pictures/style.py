"""The common style of a run's pictures: paper, ink, titles, axes, and saving."""

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tljax.files import disk
from tljax.tasks.task import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
SHARP = 165  # of the page's charts: a phone has two or three pixels to a CSS pixel
INK, FAINT, RULE = "#222222", "#666666", "#dddddd"
# Blue, vermilion and green of Okabe and Ito (2008), distinct under colour blindness and in grey:
# training images, held-out images, and what is set or planned. Red is kept for what is wrong.
COLOURS = {"train": "#0072b2", "validation": "#d55e00"}
SET, ALARM = "#009e73", "#b3001b"


def new_figure(*, width: float, height: float) -> "Figure":
    """Make a white figure of this size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def title(figure: "Figure", text: str, caption: str) -> None:
    """Write a title with a caption of a line or two at the top left."""
    # Names are the user's: without parse_math=False a "$" in one would be read as TeX.
    write = partial(figure.text, va="top", parse_math=False)
    height = figure.get_figheight()
    write(0.04, 1 - 0.13 / height, short(text, 48), size=12, weight="bold", color=INK)
    write(0.04, 1 - 0.39 / height, caption, size=8.5, color=FAINT, linespacing=1.4)


def short(name: str, length: int) -> str:
    """Cut a name to at most this many characters, the last an ellipsis."""
    return name if len(name) <= length else name[: length - 1] + "…"


def strip(ax: "Axes") -> None:
    """Remove the frame but for the line at the bottom, and the ticks' marks."""
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(FAINT)
    ax.tick_params(colors=INK, labelsize=9, length=0, pad=5)


def percent_limits(percents: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Choose limits in whole tens around the values, at least 20 points apart, within 0 to 100 %.

    A small margin is added, so that lines along 0 or 100 % are drawn whole.
    """
    low, high = (min(percents), max(percents)) if len(percents) else (0.0, 100.0)
    low, high = max(0.0, 10 * ((low - 1) // 10)), min(100.0, 10 * ((high + 1) // 10 + 1))
    low, high = (low, high) if high - low >= 20 else (max(0.0, high - 20), max(20.0, high))
    # Without the margin, a line along 0 or 100 % would be cut in half by the frame.
    margin = 0.02 * (high - low)
    return low - margin, high + margin


def limits(values: Sequence[float] | np.ndarray, measure: Measure) -> tuple[float, float]:
    """Choose limits for a measure's values, already scaled: those of percents, or a margin."""
    if measure.share and measure.unit == " %":
        return percent_limits(values)
    low, high = (float(min(values)), float(max(values))) if len(values) else (0.0, 1.0)
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def save(figure: "Figure", path: Path) -> Path:
    """Write the figure as a PNG file, in one piece."""
    return disk.write(path, png(figure))


def png(figure: "Figure") -> bytes:
    """Encode the figure as PNG bytes."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=SHARP)
    return data.getvalue()
