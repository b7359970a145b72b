"""Contact sheets of a data set before anything trains: photographs by class, and augmented."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp
import numpy as np

from tljax.data import names
from tljax.data.augment import Augment, augment_batch
from tljax.data.draws import augment_keys
from tljax.data.photos import across
from tljax.data.sets import ImageSet, ImageSets
from tljax.report.pictures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 8  # photographs of a class, or views of a photograph
CLASSES = 12  # on a sheet; of more, some evenly through the list
VIEWED = 6  # photographs with their augmented views
TILE, GAP = 96, 4  # pixels
ROW, LABEL, HEAD = 0.86, 1.35, 0.68  # inches: of a row, of its name, and above the first
LINE, LINES = 0.13, 4  # inches of a line under a photograph, and lines at most


class Row(NamedTuple):
    """A row of a sheet: its name, the images uint8 `[N, H, W, 3]`, the lines under each."""

    name: str
    images: np.ndarray
    under: Sequence[Sequence[str]] = ()


def write_contact(sets: ImageSets, *, path: Path) -> Path:
    """Draw training photographs as decoded for the network, a row for each class.

    Of several labels each has a row, with all that a photograph has under it. Numbers have a row
    each too, of photographs from the least to the most.
    """
    shown, labels = evenly(len(sets.classes), CLASSES), sets.train.labels
    numbers = labels.dtype.kind == "f"
    rows = [_from_least(sets, i) if numbers else _of_class(sets, i) for i in shown]
    called = sets.task.called
    some = f"{len(shown)} of {len(sets.classes)} {called}" if len(sets.classes) > len(shown) else ""
    splits = " + ".join(_SHORT[split] for split in sets.splits)
    about = (
        "From the least to the most; under each its number." if numbers else f"Numbers: {splits}"
    )
    side = f"Training photographs, {across(sets.size)}"
    return style.save(sheet(side, "; ".join(filter(None, [about, some])), rows), path)


def write_augmented(sets: ImageSets, augment: Augment, *, path: Path) -> Path:
    """Draw training photographs, and beside each its views in the first passes."""
    rows = [
        Row("\n".join(_told(sets, place)), _views(sets.train, place, augment))
        for place in evenly(len(sets.train), VIEWED)
    ]
    caption = "Left: the photograph; then as passes 1, 2, ... of training see it."
    return style.save(sheet("Augmented training photographs", caption, rows), path)


def _of_class(sets: ImageSets, label: int) -> Row:
    """Choose photographs that have a class, evenly through training, and count all that do."""
    labels = sets.train.labels
    places = np.flatnonzero(labels[:, label] if labels.ndim > 1 else labels == label)
    chosen = places[evenly(len(places), COLUMNS)]
    counts = [
        part.task.counts(part.labels, classes=len(sets.classes)) for part in sets.splits.values()
    ]
    counted = " + ".join(f"{each[label]:,}" for each in counts if each is not None)
    under = [_told(sets, place) for place in chosen] if labels.ndim > 1 else ()
    return Row(f"{sets.classes[label]}\n{counted}", sets.train.images[chosen], under)


def _from_least(sets: ImageSets, number: int) -> Row:
    """Choose photographs evenly from the least to the most of a number, which is under each."""
    values = sets.train.labels[:, number]
    chosen = np.argsort(values, kind="stable")[evenly(len(values), COLUMNS)]
    told = f"{sets.classes[number]}\n{values.min():.4g} to {values.max():.4g}"
    return Row(told, sets.train.images[chosen], [(f"{values[place]:.4g}",) for place in chosen])


def _told(sets: ImageSets, place: int) -> tuple[str, ...]:
    """Say what the label of a training photograph tells, in a few lines."""
    lines = names.told(sets.train.labels[place], sets.classes)
    return lines if len(lines) <= LINES else (*lines[: LINES - 1], f"{len(lines) - LINES + 1} more")


_SHORT = {"train": "training", "validation": "validation", "test": "test"}


def _views(train: ImageSet, place: int, augment: Augment) -> np.ndarray:
    """Return a photograph and its first augmented views, uint8 `[COLUMNS, S, S, 3]`."""
    passes = jnp.arange(COLUMNS - 1, dtype=jnp.int32)
    examples = jnp.full(COLUMNS - 1, place, jnp.int32)
    image = train.images[place]
    views = augment_batch(
        np.repeat(image[None], COLUMNS - 1, axis=0),
        keys=augment_keys(passes, examples),
        ranges=augment,
    )
    return np.concatenate([image[None], np.asarray(views).round().astype(np.uint8)])


def sheet(title: str, caption: str, rows: Sequence[Row]) -> "Figure":
    """Place each row's images beside one another, behind its name."""
    lines = max((len(each) for row in rows for each in row.under), default=0)
    high = ROW + LINE * lines
    width, height = LABEL + COLUMNS * ROW + 0.2, HEAD + high * len(rows) + 0.15
    figure = style.new_figure(width=width, height=height)
    style.title(figure, title, caption)
    write = partial(figure.text, color=style.INK, parse_math=False)
    for place, row in enumerate(rows):
        top = height - HEAD - high * place
        left, across = LABEL / width, COLUMNS * ROW / width
        ax = figure.add_axes((left, (top - ROW) / height, across, ROW / height))
        ax.imshow(_strip(row.images), interpolation="nearest")
        ax.set_axis_off()
        name = "\n".join(style.short(line, 14) for line in row.name.splitlines())
        write(0.04, (top - ROW / 2) / height, name, va="center", size=9)
        for column, under in enumerate(row.under):
            text = "\n".join(style.short(line, 15) for line in under)
            at = (LABEL + column * ROW) / width, (top - ROW * TILE / (TILE + GAP)) / height
            write(*at, text, va="top", size=6.5, linespacing=1.25)
    return figure


def _strip(images: np.ndarray) -> np.ndarray:
    """Enlarge or shrink images to tiles in a row of COLUMNS, white where there are fewer."""
    from PIL import Image

    strip = np.full((TILE + GAP, COLUMNS * (TILE + GAP), 3), 255, np.uint8)
    how = Image.Resampling.LANCZOS if images.shape[1] > TILE else Image.Resampling.NEAREST
    for column, image in enumerate(images):
        start = column * (TILE + GAP)
        tile = Image.fromarray(image).resize((TILE, TILE), how)
        strip[:TILE, start : start + TILE] = np.asarray(tile)
    return strip


def evenly(count: int, most: int) -> np.ndarray:
    """Choose at most `most` places, evenly through `count`, both ends included."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
