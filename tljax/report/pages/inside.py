"""The sheets of `tljax inside` as one page, which grows as they are drawn."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tljax.report.inside.layout import WRONG, Row, Sheet, Tile
from tljax.report.pages import document
from tljax.report.pages.gallery import jpeg
from tljax.report.pages.sections import small_print
from tljax.report.pages.text import escape

LEAST = 96  # pixels: a kernel of 3 x 3 is enlarged to this, so that it stays sharp


def write_sheets(
    path: Path, title: str, sheets: Sequence[Sheet], *, waiting: Sequence[str]
) -> Path:
    """Write the page of the sheets so far; `waiting` names those that are still to be drawn."""
    body = [f"<h1>{escape(title)}</h1>"]
    for sheet in sheets:
        body += section(sheet)
    rest = f"Still being drawn: {', '.join(waiting)}. Load the page again." if waiting else ""
    return document.write(path, title, [*body, small_print(rest) if rest else ""])


def section(sheet: Sheet) -> list[str]:
    """Format a sheet as HTML lines: a grid of its tiles, a row each."""
    head = [f"<h2>{escape(sheet.title)}</h2>", small_print(sheet.caption.replace("\n", " "))]
    return head + [line for row in _joined(sheet) for line in _row(row, sheet.across)]


def _joined(sheet: Sheet) -> list[Row]:
    """Join a full row with the one below it, if that has no label, for screens with less room."""
    rows: list[Row] = []
    for row in sheet.rows:
        if rows and not row.label and len(rows[-1].tiles) % sheet.across == 0:
            rows[-1] = replace(rows[-1], tiles=[*rows[-1].tiles, *row.tiles])
        else:
            rows.append(row)
    return rows


def _row(row: Row, across: int) -> list[str]:
    label = [f"<h3>{escape(row.label)}</h3>"] if row.label else []
    opened = f'<div class="tiles" style="--across:{across}">'
    return [*label, opened, *map(_tile, row.tiles), "</div>"]


def _tile(tile: Tile) -> str:
    if tile.image is None:
        return "<div></div>"
    kind = ' class="wrong"' if tile.colour == WRONG else ""
    first, *rest = tile.caption.split("\n")
    text = "<br>".join([f"<b>{escape(first)}</b>" if rest else escape(first), *map(escape, rest)])
    alt = escape(tile.caption.replace("\n", ", ") or "picture")
    source = f"data:image/jpeg;base64,{jpeg(_enlarged(tile.image))}"
    caption = f"<figcaption>{text}</figcaption>" if text else ""
    return f'<figure{kind}><img src="{source}" alt="{alt}">{caption}</figure>'


def _enlarged(image: np.ndarray) -> np.ndarray:
    """Repeat the pixels of a small picture."""
    times = max(1, LEAST // image.shape[0])
    return image.repeat(times, 0).repeat(times, 1)
