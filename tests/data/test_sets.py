"""Sets made by hand: every field is checked, and a line names the one that is wrong."""

import numpy as np
import pytest

from tljax import ImageSet, ImageSets
from tljax.errors import InputError

LABELS = np.array([0, 1] * 4)
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3)).astype(np.uint8)


def made(images=IMAGES, labels=LABELS, classes=("dark", "bright"), count=None):
    part = ImageSet(images, labels, tuple(map(str, range(count or len(images)))))
    return ImageSets("mine", classes, part, part, "0" * 64)


def test_whole_numbers_of_any_width_are_labels():
    assert made(labels=LABELS.astype(np.uint8)).train.labels.dtype == np.int32


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"images": (IMAGES / 255).astype(np.float32)}, "ImageSet: images: expected uint8 [N, "),
        ({"images": IMAGES.tolist()}, "ImageSet: images: expected uint8 [N, size, size, 3], found"),
        (
            {"images": IMAGES.astype(np.int64)},
            "found int64 (8, 4, 4, 3) from 0 to 255; images.round()",
        ),
        ({"images": IMAGES * 1.0 - 128}, "found float64 (8, 4, 4, 3) from -128 to 127"),
        ({"images": IMAGES * np.nan}, "found float64 (8, 4, 4, 3) from nan to nan"),
        ({"images": IMAGES[:, :, :3]}, "found uint8 (8, 4, 3, 3); resize them to squares"),
        ({"images": IMAGES[..., 0]}, "found uint8 (8, 4, 4); grey images want their channel three"),
        ({"images": IMAGES.transpose(0, 3, 1, 2)}, "channels come last"),
        ({"images": IMAGES[..., :1]}, "found uint8 (8, 4, 4, 1)"),
        ({"labels": LABELS + 1}, "mine: train: labels: expected 0 to 1 for 2 classes, found 2"),
        ({"labels": LABELS - 1}, "mine: train: labels: expected 0 to 1 for 2 classes, found -1"),
        ({"labels": LABELS.astype(np.float32)}, "labels: expected whole numbers [8]"),
        ({"labels": np.eye(2, dtype=int)[LABELS]}, "labels: expected whole numbers [8]"),
        ({"labels": LABELS[:5]}, "ImageSet: labels: expected whole numbers [8], one for each"),
        ({"images": IMAGES[:5]}, "ImageSet: labels: expected whole numbers [5], one for each"),
        ({"count": 7}, "ImageSet: ids: expected 8, one for each image, found 7"),
        ({"labels": LABELS * 0}, "expected training photographs of every class, found none of"),
        ({"classes": ("dark", "DARK")}, "read differently, found 'dark' and 'DARK'"),
        ({"classes": ("dark", "dark")}, "read differently, found 'dark' twice"),
        ({"classes": ("dark",), "labels": LABELS * 0}, "expected two or more classes, found dark"),
    ],
)
def test_a_wrong_field_is_named_in_one_line(fields, message):
    with pytest.raises(InputError) as caught:
        made(**fields)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_line_of_counts_says_what_is_missing_and_left_out():
    one, other = made().train, ImageSet(IMAGES[:1], LABELS[:1], ("0",))
    left_out = ("20 in a folder below a class, such as a/b/1.jpg",)
    sets = ImageSets(
        "mine", ("dark", "bright"), one, other, "0" * 64, skipped=("x",), left_out=left_out
    )
    assert sets.counts() == (
        "mine: dark, bright; 8 training and 1 validation images of 4 x 4, none of bright in "
        "validation; left out: 1 corrupt ones; 20 in a folder below a class, such as a/b/1.jpg"
    )
    assert len(repr(sets)) < 300


def test_a_notebook_shows_the_counts_of_each_class_and_no_markup_of_a_name():
    shown = made(classes=("<b>dark", "bright"))._repr_html_()
    assert "<tr><td>&lt;b&gt;dark</td><td>4</td><td>4</td></tr>" in shown
