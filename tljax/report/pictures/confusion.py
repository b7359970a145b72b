"""The confusion matrix of a rung; with many classes, the pairs confused most often."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tljax.report.pictures import style
from tljax.report.stats import scores
from tljax.runs.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MATRIX = 12  # classes at most in a matrix one can read
PAIRS = 12


def write_confusion(rung: str, predictions: Predictions, *, split: str, workdir: Path) -> Path:
    """Draw `confusion.png`: shares of each class's images, averaged over the rung's runs."""
    classes, runs = len(predictions.classes), len(predictions.seeds)
    matrices = [
        scores.confusion(predictions.labels, p, classes=classes) for p in predictions.predicted
    ]
    mean = np.mean(matrices, axis=0)
    over = f"mean of {runs} runs" if runs > 1 else "one run"
    about = predictions.task.worded(f"{len(predictions.labels):,} {split} images, {over}.")
    if classes <= MATRIX:
        return _matrix(rung, mean, predictions.classes, about, workdir)
    return _pairs(rung, mean, predictions.classes, about, workdir)


def write_pixels(rung: str, predictions: Predictions, *, split: str, workdir: Path) -> Path:
    """Draw `confusion.png` of masks: shares of each class's pixels, over all images and runs."""
    counts = predictions.figures["confusion"].sum((0, 1))
    known = f"{counts.sum() / len(predictions.seeds):,.0f} pixels of"
    about = f"{known} {len(predictions.labels):,} {split} images."
    if len(predictions.classes) <= MATRIX:
        return _matrix(rung, counts, predictions.classes, about, workdir)
    return _pairs(rung, counts, predictions.classes, about, workdir, unit="pixels")


def _shares(matrix: np.ndarray) -> np.ndarray:
    """Convert rows of counts to percent; a class without images is NaN."""
    total = matrix.sum(1, keepdims=True)
    return np.divide(100 * matrix, total, out=np.full(matrix.shape, np.nan), where=total > 0)


def _matrix(
    rung: str, mean: np.ndarray, classes: tuple[str, ...], about: str, workdir: Path
) -> Path:
    slanted = len(classes) > 3
    side = 0.62 * len(classes) if slanted else 2.7
    width, height = (
        max(4.4, side + 1.8),
        side + (1.9 if slanted else 1.7),
    )  # nearly square, as the diagram beside it
    figure = style.new_figure(width=width, height=height)
    ax = figure.add_axes(
        (1.3 / width, (1.0 if slanted else 0.5) / height, side / width, side / height)
    )
    style.title(
        figure, f"{rung}: confusion", f"{about}\nRow: the class; column: what it was taken for."
    )
    shares = _shares(mean)
    ax.imshow(np.nan_to_num(shares), cmap="Oranges", vmin=0, vmax=100)
    for i, j in np.ndindex(*shares.shape):
        _cell(ax, i, j, float(shares[i, j]), float(mean[i, j]), small=slanted)
    names = [_short(name, 14) for name in classes]
    ax.set_yticks(range(len(names)), names, size=9, parse_math=False)
    angle, end = (45, "right") if slanted else (0, "center")
    ax.set_xticks(range(len(names)), names, rotation=angle, ha=end, size=9, parse_math=False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, colors=style.INK)
    return style.save(figure, workdir / "confusion.png")


def _short(name: str, length: int) -> str:
    """Cut a name in its middle: what tells classes apart is often at their ends."""
    before = (length - 1) // 2
    return name if len(name) <= length else f"{name[:before]}…{name[before + 1 - length :]}"


def _cell(ax: "Axes", i: int, j: int, share: float, count: float, *, small: bool) -> None:
    if np.isnan(share):
        return
    colour = "white" if share > 60 else style.INK
    text = f"{share:.0f}" if small else f"{share:.1f} %\n{_written(count)}"
    ax.text(j, i, text, size=8.5 if small else 10, color=colour, ha="center", va="center")


def _written(count: float) -> str:
    return f"{count:,.0f}" if count >= 10_000 else f"{count:.4g}"


def _pairs(
    rung: str,
    mean: np.ndarray,
    classes: tuple[str, ...],
    about: str,
    workdir: Path,
    *,
    unit: str = "images",
) -> Path:
    pairs = scores.most_confused(mean, pairs=PAIRS)
    figure = style.new_figure(width=4.4, height=1.6 + 0.36 * max(1, len(pairs)))
    height = figure.get_figheight()
    ax = figure.add_axes((0.04, 0.6 / height, 0.92, 1 - (0.6 + 0.85) / height))
    style.title(
        figure,
        f"{rung}: confused most",
        f"{about}\nOf the {len(classes)} classes: a class, what it was taken for, how often.",
    )
    text = partial(ax.text, va="center", size=8.5, color=style.INK, parse_math=False)
    for place, (i, j) in enumerate(pairs):
        names = " → ".join(_short(classes[k], 28) for k in (i, j))
        ax.barh(place + 0.2, mean[i, j], height=0.3, color=style.COLOURS["validation"], alpha=0.75)
        text(0, place - 0.2, names)
        text(mean[i, j], place + 0.2, f" {_written(mean[i, j])} of {mean[i].sum():,.0f}")
    ax.set_xlim(0, 1.3 * max([mean[pair] for pair in pairs], default=1.0))
    ax.set_ylim(max(1, len(pairs)) - 0.4, -0.6)
    ax.yaxis.set_visible(False)
    ax.set_xlabel(unit, size=9.5, color=style.INK)
    style.strip(ax)
    return style.save(figure, workdir / "confusion.png")
