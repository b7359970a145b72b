"""That the picture of the ladder shows what the results say: the lines' own data."""

import numpy as np
import pytest
from PIL import Image

from tljax.report.pictures import ladder, style


def test_the_ladder_shows_each_seed_the_mean_and_the_interval(tmp_path, monkeypatch):
    kept = []
    save = style.save
    monkeypatch.setattr(
        style, "save", lambda figure, path: kept.append(figure) or save(figure, path)
    )
    validation = {"loss": 0.5, "n": 263}
    accuracies = [("a", 0, 0.90), ("a", 1, 0.94), ("b", 0, 81 / 263)]
    rows = [
        {"name": n, "seed": s, "validation": validation | {"accuracy": a}} for n, s, a in accuracies
    ]
    path = ladder.write_ladder({"rungs": rows}, workdir=tmp_path)
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
        assert picture.size == pytest.approx(
            (759, 425), rel=0.05
        )  # the versions of matplotlib differ by some pixels


def test_a_rung_that_collapsed_has_a_red_name_and_the_caption_says_what_that_is(
    tmp_path, monkeypatch
):
    kept = []
    monkeypatch.setattr(style, "save", lambda figure, path: kept.append(figure) or path)
    rows = [
        {"name": n, "seed": 0, "validation": {"loss": 0.5, "n": 263, "accuracy": 0.9}}
        for n in ("a", "b")
    ]
    ladder.write_ladder(
        {"rungs": [rows[0], rows[1] | {"collapsed": {"said": "b: collapsed"}}]}, workdir=tmp_path
    )
    colours = {text.get_text(): text.get_color() for text in kept[0].axes[0].texts}
    assert (colours["a"], colours["b"]) == (style.INK, style.ALARM)
    assert "Red name: see the alarms." in kept[0].texts[1].get_text()
    ladder.write_ladder({"rungs": rows}, workdir=tmp_path)
    assert "Red name" not in kept[1].texts[1].get_text()
