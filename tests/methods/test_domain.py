from dataclasses import replace

import numpy as np
import pytest

from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.methods import domain


def sets(*, size=4, name="source"):
    split = ImageSet(np.zeros((2, size, size, 3), np.uint8), np.array([0, 1], np.int32), ("a", "b"))
    return ImageSets(name, ("cat", "dog"), split, split, "0" * 64)


def test_domains_of_the_same_classes_and_size_are_let_through():
    domain.check(sets(), sets(name="target"))


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (
            replace(sets(name="target"), classes=("dog", "cat")),
            "target: expected the classes of source, found cat, dog",
        ),
        (sets(size=8, name="target"), "target: expected images of 4 pixels, found 8"),
    ],
)
def test_other_domains_are_refused_by_name(target, told):
    with pytest.raises(InputError, match=told):
        domain.check(sets(), target)
