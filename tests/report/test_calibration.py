"""Calibration by hand, and against scikit-learn."""

import numpy as np
import pytest

from tljax.report.pictures import reliability, style
from tljax.report.stats import calibration
from tljax.report.tables import trust
from tljax.runs.predictions import Predictions, softmax

# Two classes: confidence 0.6 twice, once right; 0.9 twice, both right.
HAND = np.array([[0.6, 0.4], [0.4, 0.6], [0.9, 0.1], [0.1, 0.9]])
LABELS = np.array([0, 0, 0, 1])


def test_ece_by_hand():
    """Bins of 0.2: |0.5 - 0.6| and |1 - 0.9|, half the images each. One bin: |0.75 - 0.75|."""
    assert calibration.ece(HAND, LABELS, bins=5) == pytest.approx(0.1)
    assert calibration.ece(HAND, LABELS, bins=1) == pytest.approx(0.0)


def test_equal_mass_bins_hold_equally_many():
    """Confidences 0.5, 0.51, 0.52, 0.99 in two bins: 0.505 with none right, 0.755 with both."""
    first = np.array([0.5, 0.51, 0.52, 0.99])
    probabilities = np.stack([first, 1 - first], 1)
    labels = np.array([1, 1, 0, 0])
    found = calibration.reliability(probabilities, labels, bins=2, mass=True)
    assert found.count.tolist() == [2, 2]
    assert (found.low.tolist(), found.high.tolist()) == ([0.5, 0.52], [0.51, 0.99])
    assert calibration.ece(probabilities, labels, bins=2, mass=True) == pytest.approx(
        (0.505 + 0.245) / 2
    )
    assert calibration.ece(probabilities, labels, bins=2) == pytest.approx(
        0.25 * 0.5 + 0.75 * (2.02 - 2) / 3
    )


def test_a_confidence_on_an_edge_belongs_below():
    found = calibration.reliability(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 0]), bins=2)
    assert (found.low.tolist(), found.high.tolist(), found.count.tolist()) == (
        [0, 0.5],
        [0.5, 1],
        [1, 1],
    )


def test_brier_by_hand():
    """0.4^2 + 0.4^2; 0.6^2 + 0.6^2; 2 x 0.1^2 twice: 0.32, 0.72, 0.02, 0.02."""
    assert calibration.brier(HAND, LABELS) == pytest.approx(1.08 / 4)
    assert calibration.brier(np.full((1, 4), 0.25), np.array([2])) == pytest.approx(
        0.75**2 + 3 * 0.25**2
    )


def test_nll_is_scikit_learns_log_loss(probabilities, labels):
    assert calibration.nll(np.log(probabilities), labels) == pytest.approx(0.7584966120243729)
    np.testing.assert_allclose(softmax(np.log(probabilities) + 800), probabilities)


def test_temperature_has_a_closed_form_where_all_logits_are_equal():
    """Of four logits (0, 2) three are right: sigmoid(2 / T) = 3 / 4,
    so T = 2 / log 3; underconfident ones shrink.
    """
    logits, labels = np.tile([0.0, 2.0], (4, 1)), np.array([0, 1, 1, 1])
    assert calibration.fit_temperature(logits, labels) == pytest.approx(2 / np.log(3), rel=1e-4)
    assert calibration.fit_temperature(logits / 4, labels) == pytest.approx(
        0.5 / np.log(3), rel=1e-4
    )


def test_cross_fitted_halves_hold_each_class_alike():
    logits, labels = np.tile([0.0, 2.0], (8, 1)), np.array([0, 0, 1, 1, 1, 1, 1, 1])
    scaled, temperature = calibration.cross_fitted(logits, labels)
    assert temperature == pytest.approx(2 / np.log(3), rel=1e-4)
    np.testing.assert_allclose(scaled, np.tile([0, np.log(3)], (8, 1)), rtol=1e-4)


def test_no_image_is_judged_by_a_temperature_that_saw_it():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(40, 3)), np.arange(40) % 3
    logits[np.arange(40), labels] += 1
    before = calibration.cross_fitted(logits, labels)[0]
    for image in (0, 17):
        moved = logits.copy()
        moved[image] *= -3
        after = calibration.cross_fitted(moved, labels)[0]
        assert after[image] == pytest.approx(-3 * before[image])
        same = np.isclose(after, before).all(1)
        assert same.sum() in (
            19,
            20,
        )  # its own half, but for itself; a class may leave an odd image


def test_images_that_are_all_right_leave_nothing_to_fit():
    """124 right photographs: the likelihood grows without end as the temperature falls."""
    labels = np.arange(124) % 2
    logits = 3.0 * np.eye(2)[labels]
    assert calibration.fit_temperature(logits, labels) is None
    assert calibration.cross_fitted(logits, labels) is None
    right = Predictions((0, 1), np.stack([logits, logits]), labels, ("x",) * 124, ("a", "b"))
    row = dict(
        zip(trust.CALIBRATION, trust.calibration_row("r", right, fitted_on=None), strict=True)
    )
    assert (row["temperature"], row["ECE after"], row["NLL after"]) == ("nothing to fit", "-", "-")
    assert row["ECE"].startswith("0.047")


@pytest.mark.parametrize("count", [10, 99, 100])
def test_of_few_images_neither_ece_nor_a_temperature_is_told(count, tmp_path, monkeypatch):
    labels = np.arange(count) % 2
    logits = 3.0 * np.eye(2)[labels]
    logits[::3] = logits[::3, ::-1]
    one = Predictions((0,), logits[None], labels, ("x",) * count, ("a", "b"))
    row = dict(zip(trust.CALIBRATION, trust.calibration_row("r", one, fitted_on=None), strict=True))
    kept = []
    monkeypatch.setattr(style, "save", lambda figure, path: kept.append(figure) or path)
    about = {"fitted_on": None, "split": "validation", "workdir": tmp_path}
    reliability.write_reliability("r", one, **about)
    drawn = [text.get_text() for text in kept[0].axes[0].texts]
    unsaid = [row[name] for name in ("ECE", "ECE, equal mass", "temperature")]
    if count < 100:
        assert unsaid == ["fewer than 100 images"] * 3
        assert drawn == ["as trained: too few for an ECE"]
    else:
        assert not [text for text in unsaid if "fewer" in text]
        assert len([text for text in drawn if "ECE 0." in text]) == 2
    assert 0 < float(row["Brier"]) < 2  # a mean over images, whatever their number
    assert float(row["NLL"]) > 0


def test_the_picture_has_the_table_s_ece_and_not_that_of_all_runs_together(tmp_path, monkeypatch):
    """Two runs, equally sure: one all right, one half right; together as right as they are sure."""
    monkeypatch.setattr(calibration, "LEAST", 1)
    labels = np.arange(8) % 2
    logits = np.log([0.75, 0.25])[np.stack([labels, labels]).copy()[..., None] ^ [0, 1]]
    logits[1, ::4] = logits[1, ::4, ::-1]
    logits[1, 1::4] = logits[1, 1::4, ::-1]
    runs = Predictions((0, 1), logits, labels, tuple("abcdefgh"), ("a", "b"))
    kept = []
    monkeypatch.setattr(style, "save", lambda figure, path: kept.append(figure) or path)
    about = {"fitted_on": None, "split": "validation", "workdir": tmp_path}
    reliability.write_reliability("r", runs, **about)
    row = dict(
        zip(trust.CALIBRATION, trust.calibration_row("r", runs, fitted_on=None), strict=True)
    )
    assert row["ECE"].startswith("0.250")
    assert "as trained: ECE 0.250" in [text.get_text() for text in kept[0].axes[0].texts]
