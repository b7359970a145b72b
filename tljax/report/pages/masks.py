"""Masks on the page: photograph, truth and prediction side by side, and the score of each class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tljax.data import palette
from tljax.errors import InputError
from tljax.files import npz
from tljax.report.pages.gallery import jpeg
from tljax.report.pages.sections import html_table, picture, small_print
from tljax.report.pages.text import escape
from tljax.report.stats.masks import class_scores
from tljax.runs.predictions import Predictions
from tljax.tasks.pixels import VOID

FILE = "masks.npz"
_FIELDS = {
    "rung": "U0",
    "seed": "i0",
    "images": "i0",
    "classes": "U1",
    "worst": "i0",
    "photographs": "u4",
    "truths": "u3",
    "predictions": "u3",
    "ids": "U1",
    "ious": "f1",
}
HEAD = ("class", "IoU", "found", "right", "share of pixels", "images")


@dataclass(frozen=True)
class Shown:
    """Validation images of one rung and seed: the `worst` first, then others evenly through it.

    Photographs uint8 `[N, H, W, 3]`; truths and predictions uint8 `[N, H, W]`, places of classes;
    `ious` `[N]` are each image's mean.
    """

    rung: str
    seed: int
    images: int  # in validation
    classes: np.ndarray  # names
    worst: int
    photographs: np.ndarray
    truths: np.ndarray
    predictions: np.ndarray
    ids: np.ndarray
    ious: np.ndarray


def write(shown: Shown, *, workdir: Path) -> Path:
    """Write `masks.npz` in one piece, readable without pickle."""
    return npz.write(workdir / FILE, {name: np.asarray(getattr(shown, name)) for name in _FIELDS})


def read(workdir: Path) -> Shown | None:
    """Read `masks.npz`; None for a run that kept none. InputError names a damaged file."""
    path = workdir / FILE
    if not path.is_file():
        return None
    parts = npz.read(path, _FIELDS)
    rung, seed, images, worst = (parts[name].item() for name in ("rung", "seed", "images", "worst"))
    several = ("classes", "photographs", "truths", "predictions", "ids", "ious")
    classes, photographs, truths, predictions, ids, means = (parts[name] for name in several)
    shape = photographs.shape[:3]
    fits = photographs.shape[3:] == (3,) and truths.shape == predictions.shape == shape
    fits = fits and len(ids) == len(means) == len(photographs) >= worst >= 0
    known = truths[truths != VOID]
    if not fits or max(known.max(initial=0), predictions.max(initial=0)) >= len(classes):
        expected = f"photographs with masks of {len(classes)} classes"
        raise InputError(f"{path}: expected {expected}, found {shape}, {truths.shape}")
    return Shown(rung, seed, images, classes, worst, photographs, truths, predictions, ids, means)


def sections(
    shown: Shown | None, predictions: Mapping[str, Predictions], *, split: str, workdir: Path
) -> list[str]:
    """Format classes and images as HTML lines; `predictions` are those of the judged split."""
    if shown is None:
        return []
    judged = predictions.get(shown.rung)
    known = judged is not None and shown.seed in judged.seeds
    lines = _classes(shown, judged, split=split, workdir=workdir) if judged and known else []
    return [*lines, *_worst(shown)]


def strip(shown: Shown | None) -> list[str]:
    """Show photographs from all over validation with truth and prediction; empty for none."""
    if shown is None:
        return []
    note = f"Photograph, truth and what {shown.rung} finds, evenly through validation."
    names = legend([str(name) for name in shown.classes])
    figures = _figures(shown, slice(shown.worst, None))
    return [names, '<div class="seen">', *figures, "</div>", small_print(note)]


def legend(classes: Sequence[str]) -> str:
    """List the classes with their colours."""
    spots = "".join(
        f'<span><i style="background:rgb({r},{g},{b})"></i>{escape(name)}</span>'
        for name, (r, g, b) in zip(classes, palette.colours(len(classes)).tolist(), strict=True)
    )
    return f'<p class="legend">{spots}</p>'


def _classes(shown: Shown, judged: Predictions, *, split: str, workdir: Path) -> list[str]:
    scores = class_scores(judged.figures_of(shown.seed)["confusion"])
    rows = [
        (
            str(name),
            f"{_percent(score.iou)} [{100 * score.low:.1f}, {100 * score.high:.1f}]",
            _percent(score.found),
            _percent(score.right),
            _percent(score.share),
            f"{score.images:,}",
        )
        for name, score in zip(shown.classes, scores, strict=True)
    ]
    note = (
        f"Of {shown.rung}, seed {shown.seed}, on {len(judged.ids):,} {split} images. "
        "IoU: pixels that are of the class and found as it, of those that are either. Found: share "
        "of the class's pixels; right: share of those taken for it. In brackets: 95 %, by "
        "bootstrap over images."
    )
    alt = f"Confusion of {shown.rung}: what the pixels of each class were taken for"
    return [
        "<h2>Classes</h2>",
        '<div class="pictures">',
        picture(workdir / "confusion.png", alt=alt),
        f"<div>{html_table(HEAD, rows)}{small_print(note)}</div>",
        "</div>",
    ]


def _worst(shown: Shown) -> list[str]:
    note = (
        f"Photograph, truth and prediction, by {shown.rung}, seed {shown.seed}: of "
        f"{shown.images:,} validation images those of the lowest mean IoU. Pixels of a truth "
        "without a colour have no class."
    )
    return [
        "<h2>The worst</h2>",
        legend([str(name) for name in shown.classes]),
        small_print(note),
        '<div class="seen">',
        *_figures(shown, slice(shown.worst)),
        "</div>",
    ]


def _figures(shown: Shown, places: slice) -> list[str]:
    classes, figures = len(shown.classes), []
    for photograph, truth, found, name, iou in zip(
        shown.photographs[places],
        shown.truths[places],
        shown.predictions[places],
        shown.ids[places],
        shown.ious[places],
        strict=True,
    ):
        tiles = [
            (photograph, str(name)),
            (palette.overlay(photograph, truth, classes=classes), "truth"),
            (palette.overlay(photograph, found, classes=classes), f"prediction of {shown.rung}"),
        ]
        images = "".join(
            f'<img src="data:image/jpeg;base64,{jpeg(image)}" alt="{escape(alt)}">'
            for image, alt in tiles
        )
        caption = f"{escape(str(name))}: mean IoU {100 * iou:.1f} %"
        figures.append(f"<figure><div>{images}</div><figcaption>{caption}</figcaption></figure>")
    return figures


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.1f} %"
