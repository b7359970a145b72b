"""Contact sheets: whose photographs are in which row, and that views are those of training."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from tljax.data import ImageSet, ImageSets
from tljax.data.augment import Augment, augment_batch
from tljax.data.draws import augment_keys
from tljax.report.pictures import contact
from tljax.tasks.multilabel import MULTILABEL
from tljax.tasks.regression import REGRESSION


def coloured(classes=3, each=5, size=12):
    """Every photograph of class k has the red level 40 + 60 k, whatever its place."""
    labels = np.repeat(np.arange(classes, dtype=np.int32), each)
    images = np.zeros((len(labels), size, size, 3), np.uint8)
    images[..., 0] = (40 + 60 * labels)[:, None, None]
    images[:, 0, 0, 2] = 10 + np.arange(len(labels))  # no two alike
    split = ImageSet(images, labels, tuple(map(str, range(len(labels)))))
    return ImageSets("test", tuple(f"class {k}" for k in range(classes)), split, split, "0" * 64)


@pytest.fixture
def rows(monkeypatch):
    """The names and images of each row of the sheet that is drawn."""
    kept = []
    sheet = contact.sheet
    monkeypatch.setattr(contact, "sheet", lambda *a: kept.append(a[2]) or sheet(*a))
    return kept


def test_a_row_for_each_class_with_its_photographs_and_counts(tmp_path, rows):
    path = contact.write_contact(coloured(), path=tmp_path / "contact.png")
    (drawn,) = rows
    assert [row.name for row in drawn] == [f"class {k}\n5 + 5" for k in range(3)]
    assert [np.unique(images[:, 5, 5, 0]).tolist() for _, images, _ in drawn] == [
        [40],
        [100],
        [160],
    ]
    with Image.open(path) as picture:
        colours = {
            level
            for _, (level, green, blue) in picture.convert("RGB").getcolors(1 << 24)
            if green == blue == 0
        }
    assert {40, 100, 160} <= colours


def test_of_many_classes_some_evenly_are_shown(tmp_path, rows):
    contact.write_contact(coloured(classes=30, each=1), path=tmp_path / "x.png")
    names = [name.split("\n")[0] for name, _, _ in rows[0]]
    assert len(names) == contact.CLASSES
    assert (names[0], names[-1]) == ("class 0", "class 29")


def test_views_are_those_that_the_first_passes_of_training_draw(tmp_path, rows):
    sets, augment = coloured(each=2), Augment()
    contact.write_augmented(sets, augment, path=tmp_path / "x.png")
    assert len(rows[0]) == contact.VIEWED
    for place, (name, images, _) in enumerate(rows[0]):
        assert name == sets.classes[sets.train.labels[place]]
        np.testing.assert_array_equal(images[0], sets.train.images[place])
        keys = augment_keys(jnp.int32([3]), jnp.int32([place]))
        fourth = augment_batch(sets.train.images[place : place + 1], keys=keys, ranges=augment)
        np.testing.assert_array_equal(images[4], np.asarray(fourth[0]).round().astype(np.uint8))


def labelled(labels, task, classes):
    images = np.zeros((len(labels), 12, 12, 3), np.uint8)
    images[..., 0] = 10 + np.arange(len(labels))[:, None, None]  # the place of each
    split = ImageSet(images, labels, tuple(map(str, range(len(labels)))), task)
    return ImageSets("test", classes, split, split, "0" * 64)


def places(images):
    return (images[:, 0, 0, 0] - 10).tolist()


def test_several_labels_are_under_each_photograph_that_has_one_of_them(tmp_path, rows):
    marks = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], np.uint8)
    sets = labelled(marks, MULTILABEL, ("cat", "small"))
    contact.write_contact(sets, path=tmp_path / "x.png")
    cat, small = rows[0]
    assert (cat.name, places(cat.images)) == ("cat\n2 + 2", [0, 1])
    assert (small.name, places(small.images)) == ("small\n2 + 2", [1, 2])
    assert [tuple(under) for under in cat.under] == [("cat",), ("cat", "small")]
    contact.write_augmented(sets, Augment(), path=tmp_path / "y.png")
    assert [row.name for row in rows[1]] == ["cat", "cat\nsmall", "small", "none"]


def test_numbers_go_from_the_least_to_the_most(tmp_path, rows):
    values = np.array([[3.5, 1], [-1, 2], [2, 3]], np.float32)
    sets = labelled(values, REGRESSION, ("width", "age"))
    contact.write_contact(sets, path=tmp_path / "x.png")
    width, age = rows[0]
    assert (width.name, places(width.images)) == ("width\n-1 to 3.5", [1, 2, 0])
    assert [tuple(under) for under in width.under] == [("-1",), ("2",), ("3.5",)]
    assert (age.name, places(age.images)) == ("age\n1 to 3", [0, 1, 2])
    contact.write_augmented(sets, Augment(), path=tmp_path / "y.png")
    assert [row.name for row in rows[1]] == ["3.5\n1", "-1\n2", "2\n3"]
