import json
from types import SimpleNamespace

import pytest
from PIL import Image

from tljax.report.pictures import domain, style
from tljax.runs.results import read_results


@pytest.fixture
def results(tmp_path):
    def results(**ways):
        rows = [
            {
                "name": way.replace("_", " "),
                "seed": seed,
                "epochs": 1,
                "validation": {"accuracy": value, "loss": 0.5, "n": 100},
                "trainable_params": 1,
                "total_params": 1,
                "seconds": 1.0,
                "images_per_second": 1.0,
            }
            for way, values in ways.items()
            for seed, value in enumerate(values)
        ]
        path = tmp_path / "results.json"
        path.write_text(json.dumps({"data": {"source": "critters"}, "rungs": rows}))
        return read_results(path)

    return results


def test_a_row_a_target_and_way(results):
    targets = {
        "noise": results(source_only=(0.5, 0.6), CORAL=(0.7, 0.7)),
        "blur": results(source_only=(0.25,)),
    }
    rows = domain.cells(targets)
    assert [row[:3] for row in rows] == [
        ["noise", "source only", "55.0 %"],
        ["noise", "CORAL", "70.0 %"],
        ["blur", "source only", "25.0 %"],
    ]
    assert [row[4] for row in rows] == ["50.0, 60.0", "70.0, 70.0", "25.0"]
    assert rows[1][3] == "60.4 to 78.1 % over 100 images"  # seeds that agree: over images


def test_bars_intervals_and_the_source_are_drawn_where_they_belong(results, tmp_path, monkeypatch):
    drawn = SimpleNamespace()
    save = style.save
    monkeypatch.setattr(
        style,
        "save",
        lambda figure, path: setattr(drawn, "ax", figure.axes[0]) or save(figure, path),
    )
    one = results(source_only=(0.5, 0.6), CORAL=(0.7, 0.8), fine_tuned=(0.9, 0.9))
    path = domain.write_domains(
        results(source_only=(0.85,)), {"noise": one, "blur": one}, workdir=tmp_path
    )
    widths = [round(bar.get_width(), 6) for bar in drawn.ax.patches]
    assert widths == [55, 75, 90] * 2
    heights = [bar.get_y() for bar in drawn.ax.patches]
    assert heights == sorted(heights)
    lines = [line.get_xdata() for line in drawn.ax.lines]
    low, high = lines[0]
    assert low == pytest.approx(0.0)  # t of one degree of freedom is wide: 55 +- 63.5, cut
    assert high == pytest.approx(100.0)
    assert lines[-1][0] == pytest.approx(85)
    assert drawn.ax.get_xlim() == (0, 100)
    with Image.open(path) as picture:
        assert picture.size[0] == 1023
