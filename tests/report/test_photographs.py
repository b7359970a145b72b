"""Photographs on the page: kept and read back, worst first, with what was said of them."""

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image

from tljax.errors import InputError
from tljax.report.inside import maps
from tljax.report.pages import gallery, photographs
from tljax.report.pages.photographs import Photographs

SIDE = 8
EVIL = "<script>"


@pytest.fixture
def kept():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    return Photographs(
        rung="finetune",
        seed=4,
        layer="block5_conv3",
        images=1234,
        classes=np.array([EVIL, "dog", "fox"]),
        worst=images[:2],
        worst_ids=np.array(["a/1.jpg", "b/2.jpg"]),
        worst_labels=np.array([0, 1]),
        worst_losses=np.array([3.14159, 0.5]),
        worst_probabilities=np.array([[0.04, 0.9, 0.06], [0.2, 0.6, 0.2]]),
        seen=images[2:],
        seen_ids=np.array(["c/3.jpg"]),
        seen_labels=np.array([2]),
        seen_probabilities=np.array([[0.1, 0.25, 0.65]]),
        maps=rng.random((1, 2, 3, 3)).astype(np.float32),
    )


def test_what_is_kept_comes_back(tmp_path, kept):
    photographs.write(kept, workdir=tmp_path)
    again = photographs.read(tmp_path)
    for field in dataclasses.fields(Photographs):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(kept, field.name))
    assert (type(again.rung), type(again.seed)) == (str, int)


def test_a_figure_for_each_with_what_was_said(kept):
    text = "\n".join(gallery.sections(kept))
    captions = re.findall(r"<figure( class=\"wrong\")?>.*?<figcaption>(.*?)</figcaption>", text)
    names = [gallery.file_name(name) for name in ("a/1.jpg", "b/2.jpg")]
    assert names[0] == '<span class="about" title="a/1.jpg">1.jpg</span>'
    assert captions == [
        (' class="wrong"', f"<b>dog 90 %</b><br>is &lt;script&gt;<br>loss 3.14<br>{names[0]}"),
        ("", f"<b>dog 60 %</b><br>is dog<br>loss 0.50<br>{names[1]}"),
        ("", "<b>fox 65 %</b>, right: dog 25 %; is fox"),
    ]
    assert EVIL not in text
    assert "Of 1,234 validation images, worst first, by finetune, seed 4." in text
    assert "Grad-CAM of block5_conv3" in text
    assert gallery.sections(None) == []


def test_only_wrong_and_doubtful_photographs_are_shown_as_such(kept):
    """One is right with 0.95: beyond doubt. Of a run without others, the section says so."""
    likely = np.array([[0.04, 0.9, 0.06], [0.02, 0.95, 0.03]])
    one = dataclasses.replace(kept, worst_probabilities=likely)
    assert gallery.doubtful(one) == [0]
    assert gallery.doubtful(kept) == [0, 1]
    sure = dataclasses.replace(one, worst_labels=np.array([1, 1]))
    assert gallery.doubtful(sure) == []
    text = "\n".join(gallery.sections(sure))
    assert "None: all 1,234 validation images are right, each with 90 % or more, by" in text
    assert "loss" not in text


def test_a_photograph_beside_its_two_maps(kept):
    """The pixels of the page are those of the photograph and of the maps on one scale,
    up to JPEG's rounding.
    """
    text = "\n".join(gallery.sections(kept))
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), float)
        for data in re.findall(r'src="data:image/jpeg;base64,(.*?)"', text)
    ]
    largest = float(kept.maps[0].max())
    overlays = [maps.overlay(kept.seen[0], each, largest=largest) for each in kept.maps[0]]
    expected = [*kept.worst, kept.seen[0], *overlays]
    assert len(shown) == 5
    for found, wanted in zip(shown, expected, strict=True):
        assert (
            np.abs(found - wanted).mean() < 12
        )  # noise is what JPEG does worst; another image is 60 off
    assert re.findall(r'alt="(.*?)"', text)[2:] == [
        "c/3.jpg",
        "where finetune sees fox",
        "where finetune sees dog",
    ]


def test_large_photographs_are_made_small():
    large = np.zeros((2, 200, 200, 3), np.uint8)
    large[:, :, 100:] = 255
    small = photographs.small(large)
    assert small.shape == (2, 160, 160, 3)
    assert (small[:, :, :70] == 0).all()
    assert (small[:, :, 90:] == 255).all()
    assert photographs.small(large[:, :160, :160]).shape == (2, 160, 160, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"worst_labels": np.array([0, 3])}, "worst: expected N images"),
        ({"worst_labels": np.array([0])}, "worst: expected N images"),
        (
            {"seen": np.zeros((1, SIDE, SIDE, 3))},
            "seen: expected unsigned integers of 4 dimensions, found float64",
        ),
        ({"maps": np.zeros((1, 1, 3, 3))}, "expected two maps a photograph"),
        ({"worst_losses": np.array([1.0])}, "expected two maps a photograph and a loss each"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(tmp_path, kept, change, message):
    photographs.write(dataclasses.replace(kept, **change), workdir=tmp_path)
    with pytest.raises(InputError, match=rf"photographs\.npz: {message}"):
        photographs.read(tmp_path)


def test_a_damaged_file_is_named_and_none_is_none(tmp_path):
    assert photographs.read(tmp_path) is None
    (tmp_path / "photographs.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"photographs\.npz: expected an \.npz with rung, seed"):
        photographs.read(tmp_path)
