"""What a stage reads: photographs, or the activations of a frozen prefix."""

from collections.abc import Callable
from dataclasses import dataclass

from jax import Array

from tljax.data import ImageSets
from tljax.data.augment import Augment, augment_batch
from tljax.data.preprocess import Preprocess
from tljax.train.feed import Examples


@dataclass(frozen=True)
class Inputs:
    """What a stage reads, and how a batch of it becomes the network's input.

    `augmented(batch, keys)` is for training, `plain(batch)` for validation; `start` is the layer they enter at, None for
    images.
    """

    train: Examples
    validation: Examples
    augmented: Callable[[Array, Array], Array]
    plain: Callable[[Array], Array]
    start: str | None = None


def from_images(sets: ImageSets, *, augment: Augment | None, preprocess: Preprocess) -> Inputs:
    """Photographs, augmented afresh at every draw (validation never is), then preprocessed."""

    def augmented(images: Array, keys: Array) -> Array:
        return preprocess(images if augment is None else augment_batch(images, keys=keys, ranges=augment))

    train, validation = (Examples(split.images, split.labels) for split in (sets.train, sets.validation))
    return Inputs(train, validation, augmented, preprocess)
