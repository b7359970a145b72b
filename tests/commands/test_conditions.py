"""A second source: which of its photographs are judged."""

import numpy as np

from tljax.commands.generalise import conditions
from tljax.data import ImageSet, ImageSets


def split(name, first, count):
    images = np.arange(first, first + count, dtype=np.uint8)[:, None, None, None]
    labels = np.arange(count, dtype=np.int32) % 2
    ids = tuple(f"{name}/{place}.png" for place in range(first, first + count))
    return ImageSet(np.broadcast_to(images, (count, 8, 8, 3)).copy(), labels, ids)


def test_all_photographs_of_a_second_source_are_judged_and_those_trained_on_counted():
    other = ImageSets("other", ("cat", "dog"), split("a", 0, 6), split("b", 6, 2), "0" * 64)
    pooled = conditions._pooled(other)
    assert pooled.ids == other.train.ids + other.validation.ids
    assert pooled.images[:, 0, 0, 0].tolist() == list(range(8))
    assert pooled.labels.tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert conditions._in_common(pooled, split("mine", 5, 2)) == 2
    assert conditions._in_common(pooled, split("mine", 8, 2)) == 0
