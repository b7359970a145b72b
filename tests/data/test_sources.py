"""Source strings: the arrays they give, what is refused, and that nothing is decoded twice."""

import io
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from tljax.data import ImageSets, Places, Tolerance, critters, load, photos
from tljax.errors import InputError


def png(*colour: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (5, 3), colour).save(out, "PNG")
    return out.getvalue()


def plant(root: pathlib.Path, files: dict[str, bytes]) -> pathlib.Path:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def pets(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two of each in training, one dog in validation."""
    files = {
        "train/cat/1.png": png(1, 0, 0),
        "train/cat/2.png": png(2, 0, 0),
        "train/dog/1.png": png(3, 0, 0),
        "train/dog/2.png": png(4, 0, 0),
        "validation/dog/1.png": png(5, 0, 0),
    }
    return plant(tmp_path / "pets", files)


def loaded(root: pathlib.Path, **options) -> ImageSets:
    return load(
        f"folder:{root}",
        **{"size": 4, "places": Places(root.parent / "cache"), "progress": False} | options,
    )


def test_images_labels_and_ids_belong_together(tmp_path):
    sets = loaded(pets(tmp_path))
    assert sets.classes == ("cat", "dog")
    assert sets.name == f"folder:{tmp_path / 'pets'}"
    assert sets.train.ids == (
        "train/cat/1.png",
        "train/cat/2.png",
        "train/dog/1.png",
        "train/dog/2.png",
    )
    assert sets.train.labels.tolist() == [0, 0, 1, 1]
    assert sets.train.images[:, 0, 0, 0].tolist() == [1, 2, 3, 4]
    assert (sets.validation.ids, sets.validation.labels.tolist()) == (
        ("validation/dog/1.png",),
        [1],
    )
    assert sets.validation.images[:, 2, 2].tolist() == [[5, 0, 0]]
    for split in (sets.train, sets.validation):
        assert isinstance(split.images, np.memmap)
        assert split.images.dtype == np.uint8
        assert split.images.shape[1:] == (4, 4, 3)
        assert split.labels.dtype == np.int32
    assert sets.skipped == ()


def test_the_second_start_decodes_nothing(tmp_path, monkeypatch):
    first = loaded(pets(tmp_path))
    monkeypatch.setattr(photos, "decode", None)
    second = loaded(tmp_path / "pets")
    np.testing.assert_array_equal(first.train.images, second.train.images)
    assert second.digest == first.digest


def test_without_a_validation_folder_the_split_is_stratified_and_seeded(tmp_path):
    cats = {f"cat/{i}.png": png(i, 0, 0) for i in range(30)}
    root = plant(tmp_path / "flat", cats | {f"dog/{i}.png": png(0, i, 1) for i in range(10)})
    sets = loaded(root)
    assert np.bincount(sets.train.labels).tolist() == [24, 8]
    assert np.bincount(sets.validation.labels).tolist() == [6, 2]
    assert not set(sets.train.ids) & set(sets.validation.ids)
    assert loaded(root).validation.ids == sets.validation.ids
    assert loaded(root, seed=1).validation.ids != sets.validation.ids
    assert len(loaded(root, validation_fraction=0.5).validation.ids) == 20


def test_the_digest_is_of_the_content_and_not_of_the_place(tmp_path):
    digest = loaded(pets(tmp_path)).digest
    assert re.fullmatch("[0-9a-f]{64}", digest)
    moved = (tmp_path / "pets").rename(tmp_path / "moved")
    assert loaded(moved).digest == digest
    assert loaded(moved, size=5).digest != digest
    (moved / "train/cat/1.png").write_bytes(png(9, 9, 9))
    assert loaded(moved).digest != digest


def test_the_digest_knows_the_labels(tmp_path):
    one = plant(
        tmp_path / "one",
        {"train/a/1.png": png(1), "train/b/2.png": png(2), "validation/a/3.png": png(3)},
    )
    two = plant(
        tmp_path / "two",
        {"train/a/1.png": png(1), "train/b/2.png": png(2), "validation/b/3.png": png(3)},
    )
    assert loaded(one).digest != loaded(two).digest


def test_a_corrupt_photograph_is_named_and_refused_or_skipped_and_counted(tmp_path):
    root = pets(tmp_path)
    whole = loaded(root)
    plant(root, {"train/cat/bad.jpg": png(7)[:30], "validation/cat/html.png": b"<html>"})
    with pytest.raises(
        InputError,
        match=r"train/cat/bad\.jpg: .*; validation/cat/html\.png: not a .*--skip-corrupt",
    ):
        loaded(root)
    (root / "validation" / "cat" / "html.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"validation/cat/html\.png: an empty file; mend or"):
        loaded(root)
    sets = loaded(root, tolerance=Tolerance(skip_corrupt=True))
    assert sets.skipped == ("train/cat/bad.jpg", "validation/cat/html.png")
    assert sets.train.ids == whole.train.ids
    assert sets.train.labels.tolist() == whole.train.labels.tolist()
    np.testing.assert_array_equal(sets.train.images, whole.train.images)
    assert sets.digest == whole.digest


def test_of_many_corrupt_photographs_three_are_named_and_all_counted(tmp_path):
    root = plant(pets(tmp_path), {f"train/cat/bad{i}.jpg": bytes([i]) for i in range(7)})
    with pytest.raises(
        InputError, match=r"bad0.*bad1.*bad2\.jpg: .*, \.\.\. \(7 in all\)"
    ) as caught:
        loaded(root)
    assert "bad3" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_split_of_nothing_but_corrupt_photographs_is_refused(tmp_path):
    root = plant(pets(tmp_path), {"validation/dog/1.png": b"no"})
    with pytest.raises(InputError, match="expected photographs for validation, found none"):
        loaded(root, tolerance=Tolerance(skip_corrupt=True))


def test_the_same_bytes_in_training_and_validation_are_named_and_refused(tmp_path):
    root = plant(pets(tmp_path), {"validation/cat/copy.png": png(2, 0, 0)})
    with pytest.raises(
        InputError, match=r"train/cat/2\.png = validation/cat/copy\.png.*allow_duplicates"
    ):
        loaded(root)
    assert len(loaded(root, tolerance=Tolerance(allow_duplicates=True)).validation.ids) == 2


def test_copies_are_kept_together_when_we_split(tmp_path):
    """Ten contents twice, under other names: each pair lands on one side."""
    files = {f"{'ab'[i % 2]}/{i}{copy}.png": png(i, 0, 0) for i in range(10) for copy in "xy"}
    sets = loaded(plant(tmp_path / "twins", files), validation_fraction=0.4)
    sides = [{name[:-5] for name in split.ids} for split in (sets.train, sets.validation)]
    assert [len(side) for side in sides] == [6, 4]
    assert not sides[0] & sides[1]


def test_the_bomb_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "MAX_PIXELS", 14)
    with pytest.raises(InputError, match=r"train/cat/1\.png: 5 x 3 pixels, expected at most 14"):
        loaded(pets(tmp_path), size=3)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "folder",
        "folder:",
        "tfds:",
        "critters:dest",
        "cats",
        "http://x",
        "Folder:/",
        "critters:",
    ],
)
def test_a_bad_source_is_named(source, tmp_path):
    with pytest.raises(InputError, match=rf"^source: expected folder:PATH, .*, found {source!r}$"):
        load(source, size=4, places=Places(tmp_path))


def test_a_path_where_nothing_is_is_said_to_be_empty(tmp_path):
    with pytest.raises(InputError, match=r"found '.*/nowhere', where nothing is$"):
        load(tmp_path / "nowhere", size=4, places=Places(tmp_path))


def test_one_class_is_not_enough(tmp_path):
    root = plant(tmp_path / "one", {"cat/1.png": png(1), "cat/2.png": png(2)})
    with pytest.raises(InputError, match=r"expected two or more classes, found cat$"):
        loaded(root)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"size": 0}, "size: expected 1 to 6324 pixels, found 0"),
        ({"size": 100_000}, "size: expected 1 to 6324 pixels, found 100000"),
        ({"validation_fraction": 0.0}, "validation_fraction: expected between 0 and 1, found 0.0"),
        ({"validation_fraction": 1.0}, "validation_fraction: expected between 0 and 1, found 1.0"),
        (
            {"validation_fraction": float("nan")},
            "validation_fraction: expected between 0 and 1, found nan",
        ),
    ],
)
def test_bad_numbers_are_named(tmp_path, option, message):
    with pytest.raises(InputError, match=message):
        loaded(pets(tmp_path), **option)


@pytest.fixture
def few_critters(monkeypatch):
    """Three and two of each kind, and the number of times they were drawn."""
    for name in ("TARGET_SIZES", "SOURCE_SIZES"):
        monkeypatch.setattr(critters, name, {"train": 3, "validation": 2})
    calls, make = [], critters.make
    monkeypatch.setattr(
        critters, "make", lambda *args, **kw: calls.append(kw["split"]) or make(*args, **kw)
    )
    return calls


@pytest.mark.parametrize(
    ("source", "classes"),
    [("critters", critters.TARGET_CLASSES), ("critters:source", critters.SOURCE_CLASSES)],
)
def test_critters_are_what_make_draws_and_are_drawn_once(tmp_path, few_critters, source, classes):
    sets = load(source, size=16, places=Places(tmp_path), progress=False)
    again = load(source, size=16, places=Places(tmp_path), progress=False)
    assert few_critters == ["train", "validation"]
    assert sets.classes == again.classes == classes
    assert sets.digest == again.digest
    for split, per_class, got in (("train", 3, sets.train), ("validation", 2, sets.validation)):
        images, labels, ids = critters.make(
            classes, per_class=per_class, seed=0, size=16, split=split, progress=False
        )
        np.testing.assert_array_equal(got.images, images)
        np.testing.assert_array_equal(got.labels, labels)
        assert got.labels.dtype == np.int32
        assert got.ids == ids


def test_the_critters_seed_is_the_datas_own(tmp_path, few_critters):
    first = load("critters", size=16, places=Places(tmp_path), progress=False)
    other = load("critters", size=16, places=Places(tmp_path), progress=False, seed=1)
    assert first.digest != other.digest
    assert (first.train.images != other.train.images).any()


def test_real_photographs(real_images, tmp_path):
    """The lecture's split: 900 and 1,000, balanced; no photograph on both sides.

    At 8 pixels to be quick.
    """
    sets = load(
        f"folder:{real_images / 'cats_dogs'}", size=8, places=Places(tmp_path), progress=False
    )
    assert np.bincount(sets.train.labels).tolist() == [450, 450]
    assert np.bincount(sets.validation.labels).tolist() == [500, 500]
    assert 60 < sets.train.images.mean() < 180


@pytest.mark.parametrize("own_validation", [True, False])
def test_a_test_folder_is_a_third_split(tmp_path, own_validation):
    """Where we split, the test stays whole; without one there is none."""
    assert loaded(pets(tmp_path)).test is None
    root = plant(
        tmp_path / "pets", {"test/dog/9.png": png(9, 0, 0), "test/cat/8.png": png(8, 0, 0)}
    )
    if not own_validation:
        (root / "validation/dog/1.png").unlink()
        (root / "validation/dog").rmdir()
        (root / "validation").rmdir()
    sets = loaded(root, validation_fraction=0.5)
    assert sets.test is not None
    assert (sets.test.ids, sets.test.labels.tolist()) == (
        ("test/cat/8.png", "test/dog/9.png"),
        [0, 1],
    )
    assert sets.test.images[:, 0, 0, 0].tolist() == [8, 9]
    assert len(sets.train.ids) == (4 if own_validation else 2)


@pytest.mark.parametrize(("level", "split"), [(2, "training"), (5, "validation")])
def test_a_test_photograph_seen_before_is_refused(tmp_path, level, split):
    root = plant(pets(tmp_path), {"test/cat/copy.png": png(level, 0, 0)})
    with pytest.raises(
        InputError, match=f"1 test photographs have the same bytes as a {split} photograph"
    ):
        loaded(root)
    assert len(loaded(root, tolerance=Tolerance(allow_duplicates=True)).test.ids) == 1
