"""The page of photographs whose label is probably wrong."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tljax.data import ImageSets
from tljax.report.pages import document
from tljax.report.pages.gallery import jpeg
from tljax.report.pages.photographs import small
from tljax.report.pages.sections import html_table, small_print
from tljax.report.pages.text import escape

SHOWN = 120  # photographs on a page: about a megabyte


def write(
    path: Path,
    sets: ImageSets,
    probabilities: np.ndarray,
    *,
    places: Sequence[int],
    suggested: Sequence[int],
    counts: np.ndarray,
    how: Sequence[str],
) -> Path:
    """Write the page: suspects in order, `counts` of labels by confident class, what to do next."""
    shown = list(zip(places, suggested, strict=True))[:SHOWN]
    some = f" The first {SHOWN} are shown; the file has all." if len(places) > SHOWN else ""
    title = f"{len(places)} of {len(sets.train):,} training labels to look at"
    note = (
        "The most suspicious first: each was judged by networks that had not seen it, and reached "
        "the mean certainty of another class than its own (confident learning, Northcutt 2021)."
    )
    figures = [_figure(sets, probabilities, place, other) for place, other in shown]
    body = [
        f"<h1>{escape(title)}</h1>",
        small_print(note + some),
        '<div class="photos">',
        *figures,
        "</div>",
        "<h2>Act on it</h2>",
        *(
            f"<p>{escape(line)}</p>" if not line.startswith("tljax") else _code(line)
            for line in how
        ),
        *_joint(sets.classes, counts),
    ]
    return document.write(path, title, body)


def _code(line: str) -> str:
    return f"<pre><code>{escape(line)}</code></pre>"


def _figure(sets: ImageSets, probabilities: np.ndarray, place: int, other: int) -> str:
    label = int(sets.train.labels[place])
    image = small(sets.train.images[place : place + 1])[0]
    said, likely = escape(sets.classes[label]), probabilities[place]
    lines = [
        f"<b>{escape(sets.classes[other])} {100 * likely[other]:.0f} %</b>",
        f"labelled {said} {100 * likely[label]:.0f} %",
        escape(Path(sets.train.ids[place]).name),
    ]
    alt = escape(sets.train.ids[place])
    picture = f'<img src="data:image/jpeg;base64,{jpeg(image)}" alt="{alt}">'
    return f"<figure><div>{picture}</div><figcaption>{'<br>'.join(lines)}</figcaption></figure>"


def _joint(classes: Sequence[str], counts: np.ndarray) -> list[str]:
    """Tabulate labels against the classes that photographs confidently are; few classes only."""
    if len(classes) > 12:
        return []
    rows = [[name, *map(str, row)] for name, row in zip(classes, counts, strict=True)]
    head = ["labelled", *(f"is {name}" for name in classes)]
    return ["<h2>Labels against what they confidently are</h2>", html_table(head, rows)]
