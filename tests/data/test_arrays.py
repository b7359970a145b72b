"""Arrays as a data set: what is in it, its digest, and what is refused."""

import numpy as np
import pytest

from tljax.data import from_arrays
from tljax.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3)).astype(np.uint8)
LABELS = np.array([0, 1] * 10)
HELD = (IMAGES[16:], LABELS[16:])
CLASSES = ("cat", "dog")


def made(images=IMAGES[:16], labels=LABELS[:16], classes=CLASSES, validation=HELD, **options):
    return from_arrays(images, labels, classes, validation=validation, **options)


def test_the_arrays_are_the_splits():
    sets = made(validation=(IMAGES[16:18], LABELS[16:18]), test=(IMAGES[18:], LABELS[18:]))
    for split, start, stop in (("train", 0, 16), ("validation", 16, 18), ("test", 18, 20)):
        found = getattr(sets, split)
        np.testing.assert_array_equal(found.images, IMAGES[start:stop])
        np.testing.assert_array_equal(found.labels, LABELS[start:stop])
        assert found.labels.dtype == np.int32
        assert found.ids[0] == f"{split}/0"
    assert (sets.name, sets.classes, sets.size) == ("arrays", CLASSES, 4)
    assert made().test is None


def test_a_fraction_of_each_class_is_held_out():
    sets = from_arrays(IMAGES, LABELS, CLASSES, validation=0.2)
    assert np.bincount(sets.validation.labels).tolist() == [2, 2]
    assert np.bincount(sets.train.labels).tolist() == [8, 8]
    for split in (sets.train, sets.validation):
        for image, label, name in zip(split.images, split.labels, split.ids, strict=True):
            at = int(name.removeprefix("train/"))
            np.testing.assert_array_equal(image, IMAGES[at])
            assert label == LABELS[at]
    assert not set(sets.train.ids) & set(sets.validation.ids)
    assert from_arrays(IMAGES, LABELS, CLASSES, seed=1).validation.ids != sets.validation.ids


def test_copies_of_an_image_stay_on_one_side():
    images = np.concatenate([IMAGES[:10], IMAGES[:10]])
    sets = from_arrays(images, LABELS, CLASSES)
    pixels = {image.tobytes() for image in sets.train.images}
    assert not pixels & {image.tobytes() for image in sets.validation.images}


def test_the_digest_is_of_all_that_is_learnt_from_and_of_nothing_else():
    digest = made().digest
    assert len(digest) == 64
    assert made(name="other", images=IMAGES[:16].copy()).digest == digest
    pixel, label = IMAGES[:16].copy(), LABELS[:16].copy()
    pixel[3, 2, 1, 0] ^= 1
    label[0] = 1
    others = [
        made(images=pixel),
        made(labels=label),
        made(classes=("cat", "fox")),
        made(images=IMAGES[15::-1], labels=LABELS[15::-1]),
        made(validation=(IMAGES[16:19], LABELS[16:19])),
        made(validation=(IMAGES[16:18], LABELS[16:18]), test=(IMAGES[18:], LABELS[18:])),
    ]
    assert len({digest, *(sets.digest for sets in others)}) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"images": IMAGES / 255},
            "train: images: expected uint8 [N, size, size, 3], found float64",
        ),
        ({"images": IMAGES[0]}, "found uint8 (4, 4, 3)"),
        ({"images": IMAGES[:, :3]}, "found uint8 (20, 3, 4, 3)"),
        ({"labels": LABELS}, "train: labels: expected whole numbers [16], one for each image"),
        ({"labels": LABELS[:16] * 1.0}, "found float64 (16,)"),
        ({"labels": LABELS[:16] + 1}, "train: labels: expected 0 to 1 for 2 classes, found 2"),
        ({"labels": LABELS[:16] - 1}, "found -1"),
        ({"classes": ("cat",)}, "classes: expected two or more classes, found cat"),
        ({"classes": "cats"}, "found 'cats'"),
        (
            {"classes": ("cat", "Cat")},
            "expected classes that read differently, found 'cat' and 'Cat'",
        ),
        (
            {"classes": ("cat", "dog", "eel")},
            "expected training photographs of every class, found none of eel",
        ),
        (
            {"images": np.concatenate([IMAGES[:15], IMAGES[:1]])},
            "train/0 (cat) = train/15 (dog)",
        ),
        (
            {"images": IMAGES[:16].transpose(0, 3, 1, 2)},
            "found uint8 (16, 3, 4, 4); channels come last: images.transpose(0, 2, 3, 1)",
        ),
        (
            {"images": (IMAGES[:16] / 255).astype(np.float32)},
            "found float32 (16, 4, 4, 3) from 0 to 1; (images * 255).round().astype(np.uint8)",
        ),
        ({"images": IMAGES[:16] // 200}, "expected pixels from 0 to 255, found 0 and 1 alone"),
        ({"validation": 1}, "validation: expected (images, labels) or a fraction between 0 and 1"),
        ({"validation": 1.5}, "found 1.5"),
        (
            {"validation": (IMAGES[:0], LABELS[:0])},
            "validation: expected one image or more, found none",
        ),
        (
            {"validation": (IMAGES[16:, :2, :2], LABELS[16:])},
            "expected images of 4 x 4 pixels, found 2 x 2",
        ),
        ({"validation": (IMAGES[15:], LABELS[15:])}, "train/15 = validation/0"),
        ({"test": (IMAGES[19:], LABELS[19:])}, "validation/3 = test/0"),
    ],
)
def test_what_is_wrong_is_named_in_a_line(options, message):
    with pytest.raises(InputError) as refused:
        made(**options)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_shared_images_are_taken_on_request():
    sets = made(validation=(IMAGES[15:], LABELS[15:]), allow_duplicates=True)
    assert len(sets.validation.labels) == 5
