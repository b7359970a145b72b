import pytest
from PIL import Image

from tljax.report.pictures import style
from tljax.report.pictures.sweep import Point, sweep_table, write_sweep

NAN = float("nan")
POINTS = [
    Point({"lr": 1e-3, "dropout": 0.0}, (0.6, 0.7)),
    Point({"lr": 1e-1, "dropout": 0.0}, (0.9, NAN)),
    Point({"lr": 1e-3, "dropout": 0.5}, (0.8, 0.8)),
    Point({"lr": 1e-2, "dropout": 0.5}, (0.5, 0.7)),
]


def cells(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_the_best_is_first_and_what_diverged_last():
    lines = sweep_table(POINTS).splitlines()
    assert cells(lines[0]) == [
        "lr",
        "dropout",
        "seeds",
        "val. accuracy",
        "95 % interval",
        "diverged",
    ]
    assert cells(lines[2]) == ["0.001", "0.5", "2", "80.0 %", "80.0 to 80.0 %"]
    half = 12.706 * 0.05  # Student's t with one degree of freedom, of 0.6 and 0.7
    assert cells(lines[3]) == [
        "0.001",
        "0",
        "2",
        "65.0 %",
        f"{100 * (0.65 - half):.1f} to 100.0 %",  # no share is above
    ]
    assert cells(lines[5]) == ["0.1", "0", "2", "1"]


def test_a_line_for_each_of_the_other_values(tmp_path, monkeypatch):
    kept, save = [], style.save
    monkeypatch.setattr(
        style, "save", lambda figure, path: kept.append(figure) or save(figure, path)
    )
    path = write_sweep(POINTS, title="A sweep", path=tmp_path / "sweep.png")
    ax = kept[0].axes[0]
    assert ax.get_xscale() == "log"
    drawn = {bars.get_label(): bars.lines[0].get_xydata().tolist() for bars in ax.containers}
    assert drawn == {
        "dropout 0": [pytest.approx([1e-3, 65])],
        "dropout 0.5": [pytest.approx([1e-3, 80]), pytest.approx([1e-2, 60])],
    }
    with Image.open(path) as picture:
        assert picture.size == pytest.approx(
            (1056, 643), rel=0.05
        )  # the versions of matplotlib differ by some pixels


@pytest.mark.parametrize("accuracies", [(0.526, 0.53), (0.02, 0.9), (1.0, 1.0), (NAN, NAN)])
def test_no_two_ticks_say_the_same(tmp_path, monkeypatch, accuracies):
    kept, save = [], style.save
    monkeypatch.setattr(
        style, "save", lambda figure, path: kept.append(figure) or save(figure, path)
    )
    points = [Point({"lr": rate}, accuracies) for rate in (1e-3, 1e-2)]
    write_sweep(points, title="A sweep", path=tmp_path / "sweep.png")
    labels = [label.get_text() for label in kept[0].axes[0].get_yticklabels()]
    assert len(set(labels)) == len(labels) >= 3
