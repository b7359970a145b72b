"""Photographs of a run with labels or numbers: what it says of each beside what is true."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tljax.errors import InputError
from tljax.files import npz
from tljax.report.pages.gallery import file_name, jpeg
from tljax.report.pages.photographs import small
from tljax.report.pages.sections import small_print
from tljax.report.pages.text import escape
from tljax.runs.predictions import Predictions
from tljax.tasks.regression import Regression
from tljax.train.outcome import telling

FILE = "told.npz"
WORST, SEEN = 12, 6
_FIELDS = {"rung": "U0", "images": "i0", "shown": "u4", "ids": "U1", "says": "U1", "true": "U1"}
_FIELDS |= {"losses": "f1"}


@dataclass(frozen=True)
class Told:
    """Validation photographs uint8 `[N, S, S, 3]`: first SEEN of them evenly, then the worst."""

    rung: str
    images: int  # in validation
    shown: np.ndarray
    ids: np.ndarray
    says: np.ndarray  # texts
    true: np.ndarray
    losses: np.ndarray


def chosen(images: np.ndarray, predicted: Predictions, *, rung: str, seed: int) -> Told:
    """Choose photographs evenly through validation, and those with the highest losses."""
    kept, labels = predicted.kept[predicted.seeds.index(seed)], predicted.labels
    losses = predicted.task.kept_losses(kept, labels)
    evenly = np.linspace(0, len(labels) - 1, SEEN).round().astype(int)
    places = np.concatenate([evenly, np.argsort(-losses, kind="stable")[:WORST]])
    ids = tuple(predicted.ids[i] for i in places)
    answers = telling.told(
        predicted.task, predicted.classes, names=ids, logits=kept[places], unread={}
    )
    true = [truth(predicted, labels[i]) for i in places]
    return Told(
        rung,
        len(labels),
        small(images[places]),
        np.array(ids, np.str_),
        np.array([_short(text, predicted.classes) for text in answers.texts()], np.str_),
        np.array(true, np.str_),
        losses[places],
    )


def truth(predicted: Predictions, label: np.ndarray) -> str:
    """Write what is true of one example."""
    if isinstance(predicted.task, Regression):
        return _short(_numbers(predicted.classes, label), predicted.classes)
    return ", ".join(predicted.classes[i] for i in np.flatnonzero(label)) or "none"


def _short(text: str, classes: tuple[str, ...]) -> str:
    """Leave out the name of the only number."""
    return text.removeprefix(f"{classes[0]} ") if len(classes) == 1 else text


def _numbers(classes: tuple[str, ...], values: np.ndarray) -> str:
    return ", ".join(f"{name} {float(x):.4g}" for name, x in zip(classes, values, strict=True))


def write(told: Told, *, workdir: Path) -> Path:
    """Write the file in one piece."""
    return npz.write(workdir / FILE, {name: np.asarray(getattr(told, name)) for name in _FIELDS})


def read(workdir: Path) -> Told | None:
    """Read the file; None for a run that has none. InputError names a damaged one."""
    path = workdir / FILE
    if not path.is_file():
        return None
    parts = npz.read(path, _FIELDS)
    told = Told(
        parts["rung"].item(),
        parts["images"].item(),
        parts["shown"],
        parts["ids"],
        parts["says"],
        parts["true"],
        parts["losses"],
    )
    counts = {len(getattr(told, name)) for name in ("shown", "ids", "says", "true", "losses")}
    if len(counts) != 1 or told.shown.dtype != np.uint8 or told.shown.shape[3] != 3:
        raise InputError(f"{path}: expected photographs with a text and a loss each")
    return told


def strip(told: Told | None) -> list[str]:
    """Show photographs from all over validation, with what the network says."""
    if told is None:
        return []
    figures = [_figure(told, i) for i in range(min(SEEN, len(told.shown)))]
    note = f"What {told.rung} says of photographs evenly through validation."
    return ['<div class="strip">', *figures, "</div>", small_print(note)]


def worst(told: Told | None) -> list[str]:
    """Show the photographs with the highest losses."""
    if told is None:
        return []
    figures = [_figure(told, i, loss=True) for i in range(SEEN, len(told.shown))]
    note = f"Of {told.images:,} validation images, by {told.rung}."
    head = "<h2>The highest losses</h2>"
    return [head, small_print(note), '<div class="photos">', *figures, "</div>"]


def _figure(told: Told, i: int, *, loss: bool = False) -> str:
    data, alt = jpeg(told.shown[i]), escape(str(told.ids[i]))
    picture = f'<img src="data:image/jpeg;base64,{data}" alt="{alt}">'
    texts = [f"<b>{escape(str(told.says[i]))}</b>", f"is {escape(str(told.true[i]))}"]
    texts += [f"loss {told.losses[i]:.2f}", file_name(str(told.ids[i]))] if loss else []
    return f"<figure><div>{picture}</div><figcaption>{'<br>'.join(texts)}</figcaption></figure>"
