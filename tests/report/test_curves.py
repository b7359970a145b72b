"""What is read from metrics.jsonl, and that the pictures show it: the lines' own data, sizes, pixels."""

import json

import numpy as np
import pytest
from PIL import Image

from tljax.errors import InputError
from tljax.report import curves


def line(rung: str, seed: int, epoch: int, loss: float | None, accuracy: float | None = 0.75) -> str:
    train = {"loss": 0.25, "accuracy": 0.875}
    validation = {"loss": loss, "accuracy": accuracy}
    return json.dumps({"rung": rung, "seed": seed, "epoch": epoch, "train": train, "validation": validation})


@pytest.fixture
def read(tmp_path):
    def read(*lines: str) -> dict:
        path = tmp_path / "metrics.jsonl"
        path.write_text("".join(text + "\n" for text in lines))
        return curves.read_metrics(path)

    return read


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draws a rung and returns (axes of loss and accuracy, path, caption)."""

    def draw(seeds: dict, rung: str = "frozen"):
        kept = []
        save = curves._save
        monkeypatch.setattr(curves, "_save", lambda figure, path: kept.append(figure) or save(figure, path))
        path = curves.write_curves(rung, seeds, workdir=tmp_path)
        return kept[0].axes, path, kept[0].texts[1].get_text()

    return draw


def test_a_resumed_run_appends_and_the_last_line_wins(read):
    runs = read(line("b", 0, 1, 3.0), line("b", 0, 2, 9.0), line("a", 1, 1, 7.0), "", line("b", 0, 2, 2.0))
    assert list(runs) == ["b", "a"]
    np.testing.assert_array_equal(runs["b"][0]["epoch"], [1, 2])
    np.testing.assert_array_equal(runs["b"][0]["validation/loss"], [3.0, 2.0])
    np.testing.assert_array_equal(runs["a"][1]["train/accuracy"], [0.875])


def test_null_and_nan_are_nan(read):
    runs = read(line("a", 0, 1, None), line("a", 0, 2, float("nan")))
    np.testing.assert_array_equal(runs["a"][0]["validation/loss"], [np.nan, np.nan])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"rung": "a", "se', r"metrics\.jsonl: line 2: expected a JSON object"),
        ("7", r"line 2: expected a JSON object, found int"),
        (line("a", 0, 1, 0.5).replace('"epoch"', '"step"'), r"line 2: 'epoch': expected a whole number"),
        (line("a", 0, 1, 0.5).replace('"train"', '"t"'), r"line 2: 'train': expected an object, found null"),
        (line("a", 0, 1, 0.5).replace("0.875", '"high"'), r"line 2: train: 'accuracy': expected a number"),
    ],
)
def test_a_garbled_line_is_named(read, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(line("a", 0, 1, 0.5), text)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"metrics\.jsonl: expected a readable file"):
        curves.read_metrics(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize("rung", ["../up", "a/b", "<script>", ".."])
def test_a_rung_cannot_name_a_file_elsewhere(tmp_path, rung):
    path = tmp_path / curves.curves_name(rung)
    assert path.resolve().parent == tmp_path.resolve()
    assert curves.curves_name("a/b") != curves.curves_name("a%2Fb")


def test_the_lines_are_the_mean_and_each_seed(read, drawn):
    runs = read(*[line("frozen", s, e, float(s + e), 0.5 + 0.1 * s) for s in (0, 2) for e in (1, 2)])
    (loss, accuracy), path, caption = drawn(runs["frozen"])
    mean, *seeds = [ln.get_ydata().tolist() for ln in loss.lines if ln.get_color() == curves.COLOURS["validation"]]
    assert (mean, seeds) == ([2.0, 3.0], [[1.0, 2.0], [3.0, 4.0]])
    validation = [ln for ln in accuracy.lines if ln.get_color() == curves.COLOURS["validation"]]
    np.testing.assert_allclose(validation[0].get_ydata(), [60.0, 60.0])
    assert [text.get_text() for text in accuracy.texts] == ["validation\n60.0 %", "training\n87.5 %"]
    assert loss.get_ylim()[0] == 0
    assert accuracy.get_ylim() == pytest.approx((40 - 1.0, 90 + 1.0))
    assert caption.startswith("2 seeds.")
    with Image.open(path) as picture:
        assert picture.size == (550, 583)
        assert np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).shape[0] > 100


def test_no_mean_where_a_seed_is_missing_or_not_finite(read, drawn):
    lines = [line("a", 0, e, 1.0) for e in (1, 2, 3, 4)]
    lines += [line("a", 1, 1, 3.0), line("a", 1, 2, None), line("a", 1, 3, 3.0)]
    (loss, _), _, caption = drawn(read(*lines)["a"])
    mean = next(ln for ln in loss.lines if ln.get_color() == curves.COLOURS["validation"])
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
    (loss, _), _, _ = drawn(read(*[line("a", 0, e, 5000.0 if e == 1 else 0.5) for e in range(1, 21)])["a"])
    assert loss.get_ylim()[1] == pytest.approx(1.05 * 3 * 0.5)
    assert "off the scale: up to 5e+03" in [text.get_text() for text in loss.texts]


def test_labels_of_lines_that_end_together_do_not_overlap(read, drawn):
    (_, accuracy), _, _ = drawn(read(line("a", 0, 1, 0.5, 0.874))["a"])
    low, high = sorted(text.get_position()[1] for text in accuracy.texts)
    assert high - low == pytest.approx(curves.LABEL_GAP)


def test_dollars_in_a_name_are_no_formula(read, drawn):
    _, path, _ = drawn(read(line("$x_{$", 0, 1, 0.5))["$x_{$"], rung="$x_{$")
    assert path.is_file()


def test_the_ladder_shows_each_seed_the_mean_and_the_interval(tmp_path, monkeypatch):
    kept = []
    save = curves._save
    monkeypatch.setattr(curves, "_save", lambda figure, path: kept.append(figure) or save(figure, path))
    validation = {"loss": 0.5, "n": 263}
    accuracies = [("a", 0, 0.90), ("a", 1, 0.94), ("b", 0, 81 / 263)]
    rows = [{"name": n, "seed": s, "validation": validation | {"accuracy": a}} for n, s, a in accuracies]
    path = curves.write_ladder({"rungs": rows}, workdir=tmp_path)
    ax = kept[0].axes[0]
    interval, mean, seeds = [ln.get_xdata() for ln in ax.lines[:3]]
    np.testing.assert_allclose(interval, [100 * (0.92 - 12.7062 * 0.02), 100], atol=1e-3)
    np.testing.assert_allclose(mean, [92, 92])
    np.testing.assert_allclose(seeds, [90, 94])
    np.testing.assert_allclose(ax.lines[3].get_xdata(), [25.53, 36.62], atol=5e-3)
    assert [text.get_text() for text in ax.texts] == [
        "a",
        "92.0 %   66.6 to 100.0 % over 2 seeds",
        "b",
        "30.8 %   25.5 to 36.6 % over 263 images",
    ]
    assert path.name == "ladder.png"
    with Image.open(path) as picture:
        assert picture.size == (616, 284)


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr(curves.os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        curves.write_atomically(tmp_path / "x.png", b"data")
    assert list(tmp_path.iterdir()) == []
