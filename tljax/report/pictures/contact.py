"""Contact sheets of a data set before anything trains: photographs by class, and augmented."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

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


def write_contact(sets: ImageSets, *, path: Path) -> Path:
    """Draw training photographs as decoded for the network, a row for each class."""
    shown = evenly(len(sets.classes), CLASSES)
    rows = []
    for label in shown:
        places = np.flatnonzero(sets.train.labels == label)
        chosen = places[evenly(len(places), COLUMNS)]
        counts = [int((part.labels == label).sum()) for part in sets.splits.values()]
        rows.append((f"{sets.classes[label]}\n{_counted(counts)}", sets.train.images[chosen]))
    some = f"{len(shown)} of {len(sets.classes)} classes" if len(sets.classes) > len(shown) else ""
    splits = " + ".join(_SHORT[split] for split in sets.splits)
    caption = "; ".join(filter(None, [f"Numbers: {splits}", some]))
    side = f"Training photographs, {across(sets.size)}"
    return style.save(sheet(side, caption, rows), path)


def write_augmented(sets: ImageSets, augment: Augment, *, path: Path) -> Path:
    """Draw training photographs, and beside each its views in the first passes."""
    places = evenly(len(sets.train), VIEWED)
    rows = [
        (sets.classes[sets.train.labels[place]], _views(sets.train, place, augment))
        for place in places
    ]
    caption = "Left: the photograph; then as passes 1, 2, ... of training see it."
    return style.save(sheet("Augmented training photographs", caption, rows), path)


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


def sheet(title: str, caption: str, rows: Sequence[tuple[str, np.ndarray]]) -> "Figure":
    """Place each row's images beside one another, behind its name."""
    width, height = LABEL + COLUMNS * ROW + 0.2, HEAD + ROW * len(rows) + 0.15
    figure = style.new_figure(width=width, height=height)
    style.title(figure, title, caption)
    for place, (name, images) in enumerate(rows):
        below = height - HEAD - ROW * (place + 1)
        left, across = LABEL / width, COLUMNS * ROW / width
        ax = figure.add_axes((left, below / height, across, ROW / height))
        ax.imshow(_strip(images), interpolation="nearest")
        ax.set_axis_off()
        lines = "\n".join(style.short(line, 17) for line in name.splitlines())
        figure.text(
            0.04,
            (below + ROW / 2) / height,
            lines,
            va="center",
            size=9,
            color=style.INK,
            parse_math=False,
        )
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


def _counted(counts: Sequence[int]) -> str:
    return " + ".join(f"{count:,}" for count in counts)
