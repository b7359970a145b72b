"""Sheets of a network whose first kernel looks for red,
and whose logit is the red it found, less one half.
"""

import io

import jax
import numpy as np
import pytest
from PIL import Image

from tljax.data import ImageSet
from tljax.data.augment import Augment
from tljax.data.preprocess import UNIT
from tljax.inside import excite, layers
from tljax.inside.net import Net
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.report.inside import layout, sheets, units
from tljax.report.inside import maps as inside_maps
from tljax.report.inside.layout import WRONG, Row, Sheet, Tile
from tljax.report.inside.sheets import Photos
from tljax.report.pages import inside as pages

SIZE = 32


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})


@pytest.fixture(scope="module")
def net():
    network = Network("cnn", {"padding": "SAME"}, hidden=0)
    module = build.classifier(network, classes=2)
    params = build.init(module, key=jax.random.key(0), size=SIZE)["params"]
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), params)
    for i in range(1, 5):
        params["base"][f"conv{i}"]["kernel"][1, 1, 0, 0] = 1
    params["head"]["predictions"]["kernel"][::128] = 1  # channel 0 of each of the 2 x 2 places
    params["head"]["predictions"]["bias"][:] = -0.5
    return Net(
        module, params, UNIT, classes=("blue", "red"), size=SIZE, rung="test", network=network
    )


@pytest.fixture(scope="module")
def photographs():
    """The first half blue; of the red ones number 5 has so little that it passes for blue."""
    images = np.zeros((6, SIZE, SIZE, 3), np.uint8)
    images[:3, ..., 2], images[3:, 4:12, 4:12, 0], images[5, ..., 0] = 200, 255, 2
    images[[0, 1, 2], ..., 2] = [[[100]], [[150]], [[200]]]
    return ImageSet(images, np.int32([0, 0, 0, 1, 1, 1]), tuple("abcdef"))


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_the_worst_photograph_comes_first_and_is_told_as_wrong(net, photographs):
    likely = sheets.probabilities(net, photographs.images)
    figure = sheets.top_losses(net, photographs, likely, count=3).figure()
    wrong = figure.texts[2]
    assert wrong.get_text() == "blue 62 %\nis red, loss 0.95"  # softplus(0.5 - 4 * 2 / 255)
    assert wrong.get_color() == WRONG
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), photographs.images[5])


def test_probabilities_are_those_of_a_sigmoid(net, photographs):
    red = 1 / (1 + np.exp(-0.5))
    np.testing.assert_allclose(
        sheets.probabilities(net, photographs.images[3:4]), [[1 - red, red]], rtol=1e-5
    )


def test_grad_cam_lies_over_the_red_square(net, photographs):
    """The logit of red is the mean of what is red: the map is high there,
    and nowhere for the other class.
    """
    photos = Photos(photographs.images[3:5], ("three", "four"))
    figure = sheets.grad_cam(net, photos, layer="conv2").figure()
    original, red, blue, pixels = (axes.images[0].get_array() for axes in figure.axes[:4])
    np.testing.assert_array_equal(original, photos.images[0])
    bright = red.astype(int).sum(-1)
    assert bright[8, 8] > 2 * bright[25, 25]
    np.testing.assert_array_equal(
        blue, np.repeat(np.round(photos.images[0].mean(-1, keepdims=True)), 3, -1)
    )
    assert (pixels[20:, 20:] == 255).all()
    assert [text for text in texts(figure) if text.startswith("for")][:2] == [
        "for red 62 %",
        "for blue 38 %",
    ]


def test_neighbours_and_warps_stand_right_of_their_photograph(net, photographs):
    photos = Photos(photographs.images[4:5], ("four",))
    figure = sheets.neighbours(net, photos, photographs, count=3).figure()
    assert len(figure.axes) == 4
    np.testing.assert_array_equal(
        figure.axes[1].images[0].get_array(), photographs.images[3]
    )  # its equal
    assert texts(figure)[2:4] == ["four\nsays red 62 %", "red\n1.00"]
    still = sheets.augmented(net, photos, Augment(0, 0, 0, 0, 0, horizontal_flip=False), count=2)
    for axes in still.figure().axes:
        np.testing.assert_array_equal(axes.images[0].get_array(), photos.images[0])


def test_units_are_shown_by_their_layers(net, photographs):
    assert layers.last_of_groups(net) == ["conv1", "conv2", "conv3", "conv4"]
    chosen = units.chosen_units(net, photographs.images, units=1)
    assert [(each.peaks.layer, each.units) for each in chosen] == [
        ("conv2", [0]),
        ("conv3", [0]),
    ]  # conv4 sees 38 pixels, more than the photograph has
    figure = units.patches(net, photographs.images, chosen).figure()
    assert "conv3, unit 0: sees 18 x 18 pixels" in texts(figure)
    assert figure.axes[0].images[0].get_array().shape == (8, 8, 3)
    assert len(units.filters(net).rows) == 4
    maps = units.activations(net, photographs.images[3], "three").figure()
    assert texts(maps)[2] == "conv1: 32 x 32, 32 channels"
    assert len(maps.axes) == 4 * 8
    first = excite.peaks(net, photographs.images, layers=["conv1"])["conv1"]
    sheet = units.maximised(net, [units.Chosen(first, [0, 3])])  # kernel 3 is all 0
    made = sheet.rows[0].tiles[0].image
    assert len(sheet.rows[0].tiles) == 1
    assert sheet.caption.endswith("Left out, at 0 throughout: unit conv1 3.")
    assert made[..., 0].mean() > 250


def test_colours_of_numbers():
    kernel = np.zeros((3, 3, 3))
    kernel[0, 0], kernel[2, 2] = (2, 0, 0), (0, 0, -2)
    picture = inside_maps.kernel(kernel)
    assert [picture[at].tolist() for at in ((0, 0), (1, 1), (2, 2))] == [
        [255, 128, 128],
        [128] * 3,
        [128, 128, 0],
    ]
    assert inside_maps.kernel(kernel, bgr=True)[0, 0].tolist() == [128, 128, 255]
    assert inside_maps.signed(np.array([[0.0, 1.0, -1.0]])).tolist() == [
        [[255] * 3, [213, 94, 0], [0, 114, 178]]
    ]
    photo = np.full((2, 2, 3), 60, np.uint8)
    np.testing.assert_array_equal(inside_maps.overlay(photo, np.zeros((2, 2))), photo)
    assert inside_maps.heat(np.array([[0.0, 5.0]]), largest=10).tolist()[0][0] == [0, 0, 4]


def test_a_sheet_has_no_overlaps_and_is_a_small_png(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.uint8)
    rows = [
        Row([Tile(noise, "one\ntwo")] * 8, "a label", split=4),
        Row([Tile(None, "gap"), Tile(noise)]),
    ]
    sheet = Sheet("A $title", "two\nlines", rows)
    figure = sheet.figure()
    boxes = [axes.get_position() for axes in figure.axes]
    assert boxes[4].x0 - boxes[3].x1 > 3 * (boxes[3].x0 - boxes[2].x1)  # the wider gap
    for i, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= 1
        assert 0 <= box.y0 < box.y1 <= 1
        assert not any(box.overlaps(other) for other in boxes[:i])
    with Image.open(io.BytesIO(layout.png(figure))) as picture:
        assert picture.width == pytest.approx(902, rel=0.05)
    path = layout.write(sheet, tmp_path / "sheet.png")
    assert path.stat().st_size < 200_000


def test_the_sheets_become_one_page_that_grows(net, photographs, tmp_path):
    likely = sheets.probabilities(net, photographs.images)
    sure = np.eye(2)[photographs.labels]
    drawn = [
        sheets.top_losses(net, photographs, likely),
        sheets.top_losses(net, photographs, sure),
        Sheet("<evil>", "x", [Row([Tile(None, "gap"), Tile(photographs.images[0])], "a <label>")]),
    ]
    assert drawn[1].rows == []
    assert drawn[1].figure().axes == []
    page = pages.write_sheets(tmp_path / "inside.html", "Inside", drawn, waiting=["patches"])
    text = page.read_text()
    assert "Still being drawn: patches." in text
    assert "<b>blue 62 %</b><br>is red, loss 0.95" in text
    assert text.count("<img") == len(drawn[0].rows[0].tiles) + 1
    assert text.count('<figure class="wrong">') == 1
    assert "&lt;evil&gt;" in text
    assert "<h3>a &lt;label&gt;</h3>" in text
    done = pages.write_sheets(page, "Inside", drawn, waiting=[]).read_text()
    assert "Still" not in done


def test_rows_without_a_label_are_one_grid():
    tile = Tile(np.zeros((4, 4, 3), np.uint8))
    rows = [Row([tile] * 2), Row([tile]), Row([tile], "below")]
    text = "".join(pages.section(Sheet("x", "y", rows)))
    assert text.count('<div class="tiles" style="--across:2">') == 2
