"""Contact sheets of masks before anything trains: laid over photographs, and both augmented."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from tljax.data import palette
from tljax.data.augment import Augment, affine, augment_batch
from tljax.data.draws import augment_keys
from tljax.data.photos import across
from tljax.data.sets import ImageSets
from tljax.report.pictures import style
from tljax.report.pictures.contact import COLUMNS, VIEWED, Row, evenly, sheet

CLASSES = 12  # on a sheet; of more, the first


def write_contact(sets: ImageSets, *, path: Path) -> Path:
    """Draw training photographs with their masks, a row for each class: those with most of it."""
    classes, train, rows = sets.classes, sets.train, []
    for label, name in enumerate(classes[:CLASSES]):
        shares = (train.labels == label).mean((1, 2))
        chosen = np.argsort(-shares, kind="stable")[:COLUMNS]
        pairs = zip(train.images[chosen], train.labels[chosen], strict=True)
        laid = [palette.overlay(*pair, classes=len(classes)) for pair in pairs]
        known = f"{(shares > 0).sum():,}; {100 * shares.mean():.1f} %"
        rows.append(Row(f"{style.short(name, 13)}\n{known}", np.stack(laid)))
    caption = "Those with most of each class. Numbers: images that have it; its share of pixels."
    title = f"Training photographs and masks, {across(sets.size)}"
    return style.save(sheet(title, caption, rows), path)


def write_augmented(sets: ImageSets, augment: Augment, *, path: Path) -> Path:
    """Draw training photographs and masks as the first passes of training see them."""
    rows = [
        Row(style.short(sets.train.ids[place].rpartition("/")[2], 13), _views(sets, place, augment))
        for place in evenly(len(sets.train), VIEWED)
    ]
    caption = "Left: photograph and mask; then passes 1, 2, ...; no class where nothing is known."
    return style.save(sheet("Augmented photographs and masks", caption, rows), path)


def _views(sets: ImageSets, place: int, augment: Augment) -> np.ndarray:
    """Return a photograph and its first views, each with its mask, uint8 `[COLUMNS, H, W, 3]`."""
    count, classes = COLUMNS - 1, len(sets.classes)
    image, label = sets.train.images[place], sets.train.labels[place]
    passes, examples = jnp.arange(count), jnp.full(count, place)
    keys, (height, width) = augment_keys(passes, examples), label.shape
    maps = affine(keys, height=height, width=width, ranges=augment)
    images = augment_batch(np.repeat(image[None], count, 0), keys=keys, ranges=augment)
    images = np.asarray(images).round().astype(np.uint8)
    labels = np.asarray(sets.task.warped(jnp.asarray(np.repeat(label[None], count, 0)), *maps))
    pairs = zip([image, *images], [label, *labels], strict=True)
    return np.stack([palette.overlay(*pair, classes=classes) for pair in pairs])
