"""Critters: a pure function of its arguments, with the classes in the shapes and nowhere else."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tljax.data import critters
from tljax.data.critters import __main__ as sheet
from tljax.data.critters import pen as critter_pen
from tljax.errors import InputError


@pytest.fixture(scope="module")
def target():
    """300 cats and 300 dogs at 32 pixels, as floats, with labels."""
    images, labels, _ = critters.make(
        critters.TARGET_CLASSES, per_class=300, seed=3, size=32, split="train", progress=False
    )
    return images.astype(np.float64), labels


def test_same_arguments_same_bytes_in_any_order():
    jobs = [(a, i) for a in critters.KINDS for i in range(2)]
    there = {job: critters.draw(job[0], seed=1, index=job[1], size=48) for job in jobs}
    back = {job: critters.draw(job[0], seed=1, index=job[1], size=48) for job in reversed(jobs)}
    assert all(np.array_equal(there[job], back[job]) for job in jobs)


def test_same_bytes_in_another_process():
    code = (
        "from tljax.data import critters; "
        "print(critters.draw('cat', seed=4, index=9).tobytes().hex())"
    )
    env = os.environ | {"PYTHONHASHSEED": "1"}
    out = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert bytes.fromhex(out.stdout.strip()) == critters.draw("cat", seed=4, index=9).tobytes()


def test_every_argument_matters():
    pictures = [
        critters.draw(animal, seed=seed, index=index)
        for animal in critters.KINDS
        for seed, index in ((0, 0), (0, 1), (1, 0), (1, 10), (11, 0))  # 1 and 10 are not 11 and 0
    ]
    assert len({p.tobytes() for p in pictures}) == len(pictures)


@pytest.mark.parametrize("size", [16, 17, 31, 64, 97, 255, 256])
def test_sizes(size):
    for animal in critters.KINDS:
        picture = critters.draw(animal, seed=0, index=0, size=size)
        assert (picture.shape, picture.dtype) == ((size, size, 3), np.uint8)


def test_another_size_is_the_same_scene():
    """Averaged down to 8 x 8, the same index correlates at 64 and 128 pixels,
    and another index does not.
    """

    def thumb(index, size):
        picture = critters.draw("dog", seed=0, index=index, size=size).astype(float)
        return picture.reshape(8, size // 8, 8, size // 8, 3).mean((1, 3)).ravel()

    small, large = [thumb(i, 64) for i in range(12)], [thumb(i, 128) for i in range(12)]
    table = np.corrcoef(small, large)[:12, 12:]
    assert table.diagonal().min() > 0.97
    assert np.median(table[~np.eye(12, dtype=bool)]) < 0.6


def test_make_labels_ids_and_order():
    images, labels, ids = critters.make(
        ["owl", "cat"], per_class=2, seed=5, size=20, split="validation", progress=False
    )
    assert (images.shape, images.dtype, labels.dtype) == ((4, 20, 20, 3), np.uint8, np.int32)
    assert labels.tolist() == [0, 0, 1, 1]
    assert ids == (
        "validation/owl/0000",
        "validation/owl/0001",
        "validation/cat/0000",
        "validation/cat/0001",
    )
    expected = critters.draw("cat", seed=5, index=critters.FIRST_INDEX["validation"] + 1, size=20)
    np.testing.assert_array_equal(images[3], expected)


def test_splits_share_no_image():
    seen = set()
    for split in critters.FIRST_INDEX:
        images, _, _ = critters.make(
            ["cat"], per_class=60, seed=0, size=16, split=split, progress=False
        )
        seen.update(image.tobytes() for image in images)
    assert len(seen) == 3 * 60


def test_a_smaller_split_is_the_start_of_a_larger_one():
    few, many = (
        critters.make(["dog"], per_class=n, seed=0, size=16, split="train", progress=False)[0]
        for n in (3, 6)
    )
    np.testing.assert_array_equal(few, many[:3])


def test_classes():
    assert critters.TARGET_CLASSES == ("cat", "dog")
    assert len(critters.SOURCE_CLASSES) == 12
    assert list(critters.SOURCE_CLASSES) == sorted(critters.SOURCE_CLASSES)
    assert not set(critters.SOURCE_CLASSES) & set(critters.TARGET_CLASSES)


def test_mean_colour_says_nothing(target):
    """Per channel, the class means differ by less than 3.5 standard errors (three channels,
    one seed).
    """
    images, labels = target
    means = images.mean((1, 2))
    cat, dog = means[labels == 0], means[labels == 1]
    error = np.sqrt(cat.var(0) / len(cat) + dog.var(0) / len(dog))
    assert np.all(np.abs(cat.mean(0) - dog.mean(0)) < 3.5 * error)


@pytest.mark.parametrize("ridge", [1.0, 100.0])
def test_no_linear_classifier_on_pixels(target, ridge):
    """Least squares and nearest mean, fitted on 450 images,
    are right for fewer than 65 % of 150 others.
    """
    images, labels = target
    pixels = (
        images.reshape(len(images), 16, 2, 16, 2, 3).mean((2, 4)).reshape(len(images), -1) / 64 - 2
    )
    train = np.arange(len(images)) % 4 != 0
    pixels = pixels - pixels[train].mean(0)
    x, y = pixels[train], np.where(labels == 1, 1.0, -1.0)
    gram = x @ x.T + ridge * np.eye(len(x))
    least_squares = pixels[~train] @ (x.T @ np.linalg.solve(gram, y[train]))
    means = [x[y[train] == s].mean(0) for s in (-1, 1)]
    nearest = (
        pixels[~train] @ (means[1] - means[0]) - (means[1] @ means[1] - means[0] @ means[0]) / 2
    )
    for score in (least_squares, nearest):
        assert np.mean((score > 0) == (y[~train] > 0)) < 0.65


def test_spline_of_a_square_is_known():
    """A closed quadratic B-spline touches the middles of its polygon's sides;
    its corners are at 3/4.
    """
    canvas = Image.new("CMYK", (40, 40))
    pen = critter_pen.Pen(canvas, (10 + 0j, 10j, 20 + 20j))
    pen.blob([(-1, -1), (1, -1), (1, 1), (-1, 1)], (9, 8, 7), 200)
    inside = np.asarray(canvas)[..., 3] == 200
    assert inside[20, 11:29].all()
    assert inside[11:29, 20].all()
    assert inside[14, 14]
    assert not inside[11, 11]
    assert not inside[:9].any()
    assert np.asarray(canvas)[20, 20].tolist() == [9, 8, 7, 200]


def test_frames_nest():
    """Unit points of a frame scaled by 2,
    turned a quarter clockwise on a screen and moved to (1, 0).
    """
    pen = critter_pen.Pen(Image.new("CMYK", (4, 4)), (3 + 0j, 3j, 5 + 7j))
    right, down, origin = pen.at(1, 0, turn=np.pi / 2, sx=2).frame
    np.testing.assert_allclose([origin + right, origin + down], [8 + 13j, 2 + 7j], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: critters.draw("unicorn", seed=0, index=0), "unicorn"),
        (lambda: critters.draw("cat", seed=0, index=0, size=15), "15"),
        (lambda: critters.draw("cat", seed=0, index=0, size=257), "257"),
        (lambda: critters.make(["cat"], per_class=1, seed=0, size=32, split="holdout"), "holdout"),
        (
            lambda: critters.make(["cat"], per_class=0, seed=0, size=32, split="train"),
            "per_class 0",
        ),
        (
            lambda: critters.make(["cat", "cat"], per_class=9**9, seed=0, size=32, split="train"),
            "387420489",
        ),
        (
            lambda: critters.make(["cat", "gryphon"], per_class=9, seed=0, size=32, split="train"),
            "gryphon",
        ),
        (lambda: critters.make(["cat"], per_class=9, seed=0, size=-1, split="train"), "-1"),
        (
            lambda: critters.make(["cat"], per_class=9, seed=0, size=32, split="train", workers=0),
            "workers 0",
        ),
    ],
)
def test_errors_are_one_line_and_name_the_cause(call, names):
    with pytest.raises(InputError, match=names) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_contact_sheet_command(tmp_path, monkeypatch, capsys):
    out = tmp_path / "sheet.png"
    command = ["critters", "--size", "24", "--each", "3", "--out", str(out), "--animals", "cat"]
    monkeypatch.setattr(sys, "argv", [*command, "owl"])
    sheet.main()
    assert np.asarray(Image.open(out)).shape == (2 * 24, 3 * 24, 3)
    monkeypatch.setattr(sys, "argv", [*command, "yeti"])
    with pytest.raises(SystemExit) as caught:
        sheet.main()
    assert caught.value.code == 2
    assert "yeti" in capsys.readouterr().err.splitlines()[-1]


def test_parts_are_of_the_same_pictures():
    """The same bits as without, and the animal is where the parts say."""
    for animal in ("cat", "dog", "owl"):
        drawn = critters.draw_parts(animal, seed=1, index=2, size=48)
        plain = critters.draw(animal, seed=1, index=2, size=48)
        np.testing.assert_array_equal(drawn[..., :3], plain)
        assert set(np.unique(drawn[..., 3])) <= set(range(len(critters.PARTS)))
    several, _, _ = critters.make(
        ["cat"], per_class=12, seed=0, size=32, split="train", progress=False, parts=True
    )
    counts = np.bincount(several[..., 3].ravel(), minlength=4) / several[..., 3].size
    assert 0.4 < counts[0] < 0.9
    assert (counts[1:] > 0.005).all()


def test_parts_do_not_depend_on_the_number_of_processes():
    options = {"per_class": 3, "seed": 0, "size": 24, "split": "train", "progress": False}
    alone, _, _ = critters.make(["cat"], workers=1, parts=True, **options)
    together, _, _ = critters.make(["cat"], workers=2, parts=True, **options)
    np.testing.assert_array_equal(alone, together)
