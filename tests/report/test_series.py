import pytest
from PIL import Image

from tljax.report.pictures import series, style


def test_a_line_a_rung_with_the_seeds_range_and_fresh_last(tmp_path, monkeypatch):
    accuracies = {"a1": (0.5, 0.6), "a": (0.7, 0.8), "b1": (0.55, 0.65), "b": (0.8, 0.9)}
    rows = [
        {"name": name, "seed": seed, "validation": {"accuracy": value, "loss": 0.5, "n": 10}}
        for name, values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    kept, save = [], style.save
    monkeypatch.setattr(
        style, "save", lambda figure, path: kept.append(figure) or save(figure, path)
    )
    lines = {"frozen": {"1": "a1", "fresh": "a"}, "finetune": {"1": "b1", "fresh": "b"}}
    told = {"title": "Views", "setting": "views of each"}
    path = series.write_series({"rungs": rows}, lines, **told, path=tmp_path / "views.png")
    ax = kept[0].axes[0]
    assert [line.get_ydata().tolist() for line in ax.lines] == [
        pytest.approx([55, 75]),
        pytest.approx([60, 85]),
    ]
    bars = [segment[:, 1].tolist() for bar in ax.collections for segment in bar.get_segments()]
    assert bars == [pytest.approx(pair) for pair in ([50, 60], [70, 80], [55, 65], [80, 90])]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "fresh"]
    assert [text.get_text() for text in ax.texts] == ["frozen\n75.0 %", "finetune\n85.0 %"]
    with Image.open(path) as picture:
        assert picture.size == pytest.approx(
            (924, 643), rel=0.05
        )  # the versions of matplotlib differ by some pixels
