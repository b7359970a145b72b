"""That the picture of the rates shows them: the lines' own data."""

import itertools

import numpy as np
import pytest

from tljax.report.pictures import rates, style

PLAN = {
    "all": {
        "stage": {
            "rules": [
                ["head/.*", 1.0],
                ["base/block5_.*", 0.5],
                ["base/block4_.*", 0.5],
                [".*", None],
            ]
        }
    },
    "head": {"stage": {"rules": [["head/.*", 1.0], ["base/.*", None]]}},
}


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draws and returns the panels."""

    def draw(metrics, stages):
        kept, png = [], style.png
        monkeypatch.setattr(style, "png", lambda figure: kept.append(figure) or png(figure))
        path = rates.write_rates(metrics, stages, plan=PLAN, workdir=tmp_path)
        assert path == tmp_path / "rates.png"
        assert path.is_file()
        return kept[0].axes

    return draw


def series(**found):
    return {"epoch": np.array([1, 2]), "step": np.array([2.0, 4.0])} | {
        f"rate/{n}": np.array(v) for n, v in found.items()
    }


def test_plan_as_lines_and_records_as_dots_fastest_first(drawn):
    """Groups of equal rates are one line; a value of 0 has no place on a logarithmic axis."""
    lr = np.array([1e-3, 2e-3, 1e-3, 0.0])
    groups = {"head/.*": [2e-3, 0.0], "base/block5_.*": [1e-3, 0.0], "base/block4_.*": [1e-3, 0.0]}
    (ax,) = drawn({"all": {7: series(**groups), 8: series()}}, [("all", {"lr": lr})])
    head, head_dots, block, block_dots = ax.lines
    assert head.get_xdata().tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(head.get_ydata(), [1e-3, 2e-3, 1e-3, np.nan])
    np.testing.assert_array_equal(block.get_ydata(), [5e-4, 1e-3, 5e-4, np.nan])
    assert (head_dots.get_xdata().tolist(), head_dots.get_ydata()[0]) == ([2, 4], 2e-3)
    assert block_dots.get_ydata()[0] == 1e-3
    assert [text.get_text() for text in ax.texts] == ["head", "block5, block4"]
    assert ax.get_title(loc="left") == "all, seed 7"
    assert ax.get_yscale() == "log"


def test_a_rate_that_a_range_test_found_is_dots_alone(drawn):
    (ax,) = drawn(
        {"head": {0: series(**{"head/.*": [3e-4, 3e-4]})}},
        [("head", {"dropout": np.array([0.5] * 4)})],
    )
    assert [line.get_ydata().tolist() for line in ax.lines] == [[3e-4, 3e-4]]


def test_names_never_overlap(drawn):
    groups = {f"base/block{i}_.*": [1e-3 * (1 + i / 100)] * 2 for i in range(1, 7)}
    (ax,) = drawn({"all": {0: series(**groups)}}, [])
    heights = [text.get_position()[1] for text in ax.texts]
    assert len(heights) == 6
    assert all(above - below >= rates.GAP - 1e-9 for above, below in itertools.pairwise(heights))
    assert min(heights) >= 0


def test_records_without_rates_draw_nothing(tmp_path):
    assert (
        rates.write_rates({"old": {0: {"epoch": np.array([1])}}}, [], plan={}, workdir=tmp_path)
        is None
    )
    assert not list(tmp_path.iterdir())
