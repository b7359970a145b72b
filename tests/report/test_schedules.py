"""That the picture of a plan shows its values: the lines' own data, axes, pixels."""

import numpy as np
import pytest
from PIL import Image

from tljax.report.pictures import schedules, style


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draws a plan and returns (axes, path)."""

    def draw(stages):
        kept = []
        save = style.save
        monkeypatch.setattr(
            style, "save", lambda figure, path: kept.append(figure) or save(figure, path)
        )
        path = schedules.write_schedules(stages, workdir=tmp_path)
        return kept[0].axes, path

    return draw


PLAN = [
    ("head", {"lr": np.array([1e-3, 2e-3, 1e-3]), "momentum": np.array([0.95, 0.85, 0.95])}),
    ("all", {"lr": np.array([5e-4, 4e-4]), "dropout": np.array([0.5, 0.0])}),
]


def test_a_panel_for_each_hyperparameter_over_the_whole_plan(drawn):
    """The second stage begins where the first ends; what a stage does not have is a gap;
    a value holds for its step.
    """
    (lr, momentum, dropout), path = drawn(PLAN)
    assert [ax.get_title(loc="left") for ax in (lr, momentum, dropout)] == [
        "learning rate",
        "momentum",
        "dropout",
    ]
    first, second = lr.lines[:2]
    assert (first.get_xdata().tolist(), first.get_ydata().tolist()) == (
        [0, 1, 2, 3],
        [1e-3, 2e-3, 1e-3, 1e-3],
    )
    assert (second.get_xdata().tolist(), second.get_ydata().tolist()) == (
        [3, 4, 5],
        [5e-4, 4e-4, 4e-4],
    )
    assert first.get_drawstyle() == "steps-post"
    assert [len(line.get_xdata()) for line in momentum.lines[:2]] == [4, 0]
    assert [line.get_xdata().tolist() for line in dropout.lines[:2]] == [[], [3, 4, 5]]
    assert [text.get_text() for text in lr.texts] == ["head", "all"]
    assert lr.figure.texts[1].get_text() == "5 steps in 2 stages."
    with Image.open(path) as picture:
        assert path.name == "schedules.png"
        assert np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).shape[0] > 100


def test_axes_suit_their_values(drawn):
    """Near peaks: linear, from 0, or from the lowest where all is far from it.

    Far apart: logarithmic, not too deep.
    """
    (lr, momentum, _), _ = drawn(PLAN)
    assert (lr.get_yscale(), momentum.get_yscale()) == ("linear", "linear")
    assert lr.get_ylim()[0] <= 0
    assert 0.8 < momentum.get_ylim()[0] < 0.85
    (apart,), _ = drawn(
        [("a", {"lr": np.array([1e-2, 1e-9])}), ("b", {"lr": np.array([1e-4, 1e-4])})]
    )
    assert apart.get_yscale() == "log"
    assert apart.get_ylim() == pytest.approx((1e-6 / 1.5, 1.5e-2))


@pytest.mark.parametrize("value", [0.0, 0.3, 1e-5])
def test_a_constant_and_a_single_step_are_drawn(drawn, value):
    (ax,), _ = drawn([("$x_{$", {"$y_{$": np.array([value])})])
    assert ax.lines[0].get_xdata().tolist() == [0, 1]
    low, high = ax.get_ylim()
    assert low <= value <= high


def test_what_never_changes_is_told_and_not_drawn(drawn):
    """Constant in both stages, or in the only one that has it; another value in a stage varies."""
    one = {"lr": np.array([1e-3, 2e-3]), "weight_decay": np.array([0.1, 0.1])}
    two = {"lr": np.array([1e-3, 1e-3]), "weight_decay": np.array([0.1, 0.1])}
    pair = [("a", one | {"augment": np.ones(2)}), ("b", two | {"dropout": np.array([0.5, 0.5])})]
    axes, _ = drawn(pair)
    assert [ax.get_title(loc="left") for ax in axes] == ["learning rate"]
    caption = axes[0].figure.texts[1].get_text()
    constant = "Constant: weight decay 0.1, augmentation 1, dropout 0.5."
    assert caption == f"4 steps in 2 stages.\n{constant}"
    axes, _ = drawn([("a", {"lr": np.ones(2)}), ("b", {"lr": np.full(2, 0.5)})])
    assert [ax.get_title(loc="left") for ax in axes] == ["learning rate"]
