"""That the picture of a range test shows its curves and suggestions."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tljax.report.pictures import lr_curve, style

RATES = np.geomspace(1e-4, 1.0, 5)


def finding(*smoothed, **suggestions):
    losses = np.array(smoothed)
    return SimpleNamespace(
        rates=RATES[: len(losses)], losses=losses + 0.1, smoothed=losses, suggestions=suggestions
    )


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draws findings and returns (axis of the curve, axis of the rows, path)."""

    def draw(findings, **options):
        kept = []
        save = style.save
        monkeypatch.setattr(
            style, "save", lambda figure, path: kept.append(figure) or save(figure, path)
        )
        path = lr_curve.write_lr_curve("finetune", findings, workdir=tmp_path, **options)
        return *kept[0].axes, path

    return draw


def test_one_seed_a_curve_its_losses_and_its_suggestions(drawn):
    curve, rows, path = drawn({3: finding(1.0, 0.9, 0.5, 0.6, 2.0, valley=1e-3, slide=1e-1)})
    smoothed, losses, used = curve.lines
    assert (smoothed.get_xdata().tolist(), smoothed.get_ydata().tolist()) == (
        RATES.tolist(),
        [1, 0.9, 0.5, 0.6, 2],
    )
    assert losses.get_ydata().tolist() == pytest.approx([1.1, 1, 0.6, 0.7, 2.1])
    assert used.get_xdata() == pytest.approx([1e-3, 1e-3])
    assert [text.get_text() for text in rows.texts] == ["valley", "1.0e-03", "slide", "1.0e-01"]
    assert curve.get_xscale() == "log"
    assert curve.get_ylim() == pytest.approx(
        (0.5 - 0.075, 1.0 + 0.4)
    )  # divergence does not flatten the descent
    assert curve.figure.texts[1].get_text().startswith("Seed 3;")
    with Image.open(path) as picture:
        assert path.name == "lr_find.png"
        assert np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).shape[0] > 100


def test_several_seeds_a_band_and_no_mean_where_one_has_ended(drawn):
    findings = {0: finding(1.0, 0.5, 0.75, valley=1e-3), 1: finding(2.0, 1.0, valley=1e-1)}
    curve, rows, _ = drawn(findings)
    mean, *seeds = curve.lines[:3]
    np.testing.assert_array_equal(mean.get_ydata(), [1.5, 0.75, np.nan])
    np.testing.assert_array_equal(
        [line.get_ydata() for line in seeds], [[1, 0.5, 0.75], [2, 1, np.nan]]
    )
    assert len(curve.collections) == 1
    assert rows.lines[1].get_xdata().tolist() == [1e-3, 1e-1]
    assert rows.texts[1].get_text() == "1.0e-02"  # the mean of factors
    assert curve.figure.texts[1].get_text().startswith("2 seeds;")


def test_a_linear_sweep_has_a_linear_axis(drawn):
    assert drawn({0: finding(1.0, 0.5, valley=1e-3)}, linear=True)[0].get_xscale() == "linear"


def test_a_sweep_without_a_loss_says_so(drawn):
    curve, rows, _ = drawn({0: finding()})
    assert [text.get_text() for text in curve.texts] == ["no finite loss"]
    assert not rows.texts
