"""That the pictures show the series: the lines' own data, sizes, pixels."""

import json

import numpy as np
import pytest
from PIL import Image

from tljax.report.pictures import curves, style


def line(
    rung: str, seed: int, epoch: int, loss: float | None, accuracy: float | None = 0.75
) -> str:
    train = {"loss": 0.25, "accuracy": 0.875}
    validation = {"loss": loss, "accuracy": accuracy}
    return json.dumps(
        {"rung": rung, "seed": seed, "epoch": epoch, "train": train, "validation": validation}
    )


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draws a rung and returns (axes of loss and accuracy, path, caption)."""

    def draw(seeds: dict, rung: str = "frozen", **options):
        kept = []
        save = style.save
        monkeypatch.setattr(
            style, "save", lambda figure, path: kept.append(figure) or save(figure, path)
        )
        path = curves.draw_curves(rung, seeds, path=tmp_path / curves.curves_name(rung), **options)
        return kept[0].axes, path, kept[0].texts[1].get_text()

    return draw


@pytest.mark.parametrize("rung", ["../up", "a/b", "<script>", ".."])
def test_a_rung_cannot_name_a_file_elsewhere(tmp_path, rung):
    path = tmp_path / curves.curves_name(rung)
    assert path.resolve().parent == tmp_path.resolve()
    assert curves.curves_name("a/b") != curves.curves_name("a%2Fb")


def test_the_lines_are_the_mean_and_each_seed(read, drawn):
    runs = read(
        *[line("frozen", s, e, float(s + e), 0.5 + 0.1 * s) for s in (0, 2) for e in (1, 2)]
    )
    (loss, accuracy), path, caption = drawn(runs["frozen"])
    mean, *seeds = [
        ln.get_ydata().tolist()
        for ln in loss.lines
        if ln.get_color() == style.COLOURS["validation"]
    ]
    assert (mean, seeds) == ([2.0, 3.0], [[1.0, 2.0], [3.0, 4.0]])
    validation = [ln for ln in accuracy.lines if ln.get_color() == style.COLOURS["validation"]]
    np.testing.assert_allclose(validation[0].get_ydata(), [60.0, 60.0])
    assert [text.get_text() for text in accuracy.texts] == [
        "validation\n60.0 %",
        "training\n87.5 %",
    ]
    assert loss.get_ylim()[0] == 0
    assert accuracy.get_ylim() == pytest.approx((40 - 1.0, 90 + 1.0))
    assert caption.startswith("2 seeds: mean")
    with Image.open(path) as picture:
        assert picture.size == pytest.approx(
            (594, 693), rel=0.05
        )  # the versions of matplotlib differ by some pixels
        assert np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).shape[0] > 100


def test_no_mean_where_a_seed_is_missing_or_not_finite(read, drawn):
    lines = [line("a", 0, e, 1.0) for e in (1, 2, 3, 4)]
    lines += [line("a", 1, 1, 3.0), line("a", 1, 2, None), line("a", 1, 3, 3.0)]
    (loss, _), _, caption = drawn(read(*lines)["a"])
    mean = next(ln for ln in loss.lines if ln.get_color() == style.COLOURS["validation"])
    np.testing.assert_array_equal(mean.get_ydata(), [2.0, np.nan, 2.0, np.nan])
    assert caption.splitlines()[1] == "seed 1 ends at epoch 3; seed 1 not finite at epoch 2"


def test_a_single_epoch_is_a_visible_point(read, drawn):
    (loss, accuracy), _, caption = drawn(read(line("a", 3, 7, 0.5))["a"])
    assert all(ln.get_marker() == "o" for ln in loss.lines)
    assert accuracy.get_xticks().tolist() == [7]
    assert caption == "One run, seed 3."


def test_nothing_finite_is_said_so(read, drawn):
    series = read(line("a", 0, 1, None, None))["a"]
    series[0]["train/loss"] = series[0]["train/accuracy"] = np.array([np.nan])
    axes, _, _ = drawn(series)
    assert [ax.texts[0].get_text() for ax in axes] == ["no finite values"] * 2


def test_one_huge_loss_does_not_flatten_the_rest(read, drawn):
    (loss, _), _, _ = drawn(
        read(*[line("a", 0, e, 5000.0 if e == 1 else 0.5) for e in range(1, 21)])["a"]
    )
    assert loss.get_ylim()[1] == pytest.approx(1.05 * 3 * 0.5)
    assert "off the scale: up to 5e+03" in [text.get_text() for text in loss.texts]


def test_labels_of_lines_that_end_together_do_not_overlap(read, drawn):
    (_, accuracy), _, _ = drawn(read(line("a", 0, 1, 0.5, 0.874))["a"])
    low, high = sorted(text.get_position()[1] for text in accuracy.texts)
    assert high - low == pytest.approx(curves.LABEL_GAP)


def test_dollars_in_a_name_are_no_formula(read, drawn):
    _, path, _ = drawn(read(line("$x_{$", 0, 1, 0.5))["$x_{$"], rung="$x_{$")
    assert path.is_file()


def test_the_start_is_drawn_in_validation_and_missing_in_training_without_a_remark(read, drawn):
    start = json.loads(line("a", 0, 0, 2.0)) | {
        "train": {"loss": None, "accuracy": None},
        "rates": {},
        "step": 0,
    }
    (loss, _), _, caption = drawn(
        read(json.dumps(start), line("a", 0, 1, 1.0), line("a", 0, 2, 0.5))["a"]
    )
    *lines, ring = sorted(loss.lines, key=lambda ln: -len(ln.get_ydata()))
    assert ring.get_ydata().tolist() == [2.0]
    assert ring.get_markerfacecolor() == "white"
    shown = {ln.get_color(): ln.get_ydata().tolist() for ln in lines if len(ln.get_ydata()) > 1}
    assert shown[style.COLOURS["validation"]] == [2.0, 1.0, 0.5]
    np.testing.assert_array_equal(shown[style.COLOURS["train"]], [np.nan, 0.25, 0.25])
    assert caption == "One run, seed 0."


def test_rungs_are_drawn_on_one_scale(read, tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(style, "save", lambda figure, path: kept.append(figure) or path)
    runs = read(line("a", 0, 1, 2.0, 0.15), line("b", 0, 1, 0.5, 0.95))
    assert len(curves.write_curves(runs, workdir=tmp_path)) == 2
    for figure in kept:
        loss, accuracy = (ax.get_ylim() for ax in figure.axes)
        assert loss == pytest.approx((0, 2.1))
        assert accuracy == pytest.approx((8.2, 101.8))


def test_what_was_solved_is_level_and_has_no_epochs(read, drawn):
    """Its start and its solution were joined by a line, as of an epoch in between."""
    runs = read(*[line("linear", 0, epoch, loss) for epoch, loss in ((0, 0.9), (1, 0.5))])
    (loss, accuracy), *_ = drawn(runs["linear"], "linear", solved=True)
    for ln in loss.lines:
        heights = set(ln.get_ydata().tolist())
        assert heights == ({0.5} if ln.get_color() == style.COLOURS["validation"] else {0.25})
        assert ln.get_marker() == "None"
    assert accuracy.get_xlabel() == "solved at once, without epochs"
    assert list(accuracy.get_xticks()) == []
