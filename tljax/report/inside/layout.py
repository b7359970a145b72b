"""A sheet of small pictures in rows, each with a caption of a line or two below it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tljax.files import disk
from tljax.report.pictures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, LEAST, MARGIN, GAP, LARGEST = 8.2, 5.6, 0.33, 0.08, 1.6  # inches; WIDTH is 902 pixels
TOP, LABEL, LINE, BETWEEN, SPLIT = 0.66, 0.27, 0.155, 0.12, 0.25
RIGHT, WRONG = style.INK, style.ALARM


@dataclass(frozen=True)
class Tile:
    """A picture, uint8 `[H, W, 3]`, and its caption; None leaves a gap."""

    image: np.ndarray | None
    caption: str = ""
    colour: str = style.INK


@dataclass(frozen=True)
class Row:
    """Tiles side by side under a label, with a wider gap after the first `split` of them."""

    tiles: list[Tile] = field(default_factory=list)
    label: str = ""
    split: int | None = None

    def left(self, place: int, side: float) -> float:
        """Compute the inches from the margin to a tile."""
        return place * (side + GAP) + SPLIT * (self.split is not None and place >= self.split)


@dataclass(frozen=True)
class Sheet:
    """Rows of tiles of one size, under a title and a caption.

    Tiles are as large as the longest row (or `columns`) allows.
    """

    title: str
    caption: str
    rows: Sequence[Row]
    columns: int | None = None

    @property
    def across(self) -> int:
        """Return the number of columns."""
        return self.columns or max([1, *(len(row.tiles) for row in self.rows)])

    def figure(self) -> "Figure":
        """Draw the sheet."""
        columns = self.across
        wider = SPLIT * any(row.split is not None for row in self.rows)
        side = min((WIDTH - 2 * MARGIN + GAP - wider) / columns - GAP, LARGEST)
        heights = [_height(row, side) for row in self.rows]
        width = max(LEAST, 2 * MARGIN + wider + columns * (side + GAP) - GAP)
        above = TOP + 0.18 * self.caption.count("\n")
        height = above + sum(heights) + 0.1
        figure = style.new_figure(width=width, height=height)
        style.title(figure, self.title, self.caption)
        top = height - above
        for row, tall in zip(self.rows, heights, strict=True):
            _draw(figure, row, top=top, side=side)
            top -= tall
        return figure

    def _repr_png_(self) -> bytes:
        return png(self.figure())


def png(figure: "Figure") -> bytes:
    """Encode a sheet as PNG bytes in at most 256 colours, which takes a third of the space."""
    from PIL import Image

    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=style.DPI)
    small = io.BytesIO()
    with Image.open(data) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
            small, "png", optimize=True
        )
    return small.getvalue()


def write(sheet: Sheet, path: Path) -> Path:
    """Write the sheet as a PNG file."""
    return disk.write(path, png(sheet.figure()))


def _height(row: Row, side: float) -> float:
    lines = max(tile.caption.count("\n") + 1 if tile.caption else 0 for tile in row.tiles)
    return LABEL * bool(row.label) + side + LINE * lines + BETWEEN


def _draw(figure: "Figure", row: Row, *, top: float, side: float) -> None:
    width, height = figure.get_size_inches()
    write_text = partial(figure.text, va="top", parse_math=False)
    if row.label:
        write_text(
            MARGIN / width,
            (top - 0.02) / height,
            row.label,
            size=9,
            weight="bold",
            color=style.INK,
        )
        top -= LABEL
    for place, tile in enumerate(row.tiles):
        left, bottom = MARGIN + row.left(place, side), top - side
        if tile.image is not None:
            ax = figure.add_axes((left / width, bottom / height, side / width, side / height))
            ax.imshow(tile.image, interpolation="nearest", aspect="auto")
            ax.set_axis_off()
        where = (left / width, (bottom - 0.03) / height)
        write_text(*where, tile.caption, size=7.5, color=tile.colour, linespacing=1.15)
