from dataclasses import replace

import numpy as np
import pytest

from tljax.config import HEAD_ONLY, Stage
from tljax.methods import surgical
from tljax.models.architecture import Cut
from tljax.models.build import named

VGG = named("vgg16")
STAGE = Stage("finetune", HEAD_ONLY, 1e-3, epochs=2, views="auto")


def two_layers():
    cuts = (
        Cut("first_out", ("first_conv",), "first"),
        Cut("second_out", ("second_conv",), "second"),
    )
    return replace(VGG, name="two", cuts=cuts, fine_tune="second")


def test_auto_rgn_on_two_layers_by_hand():
    """|g| / |theta|: 3 / 5 of the first layer, 2 / 8 of the second."""
    params = {
        "first_conv": {"kernel": np.array([3.0, 4.0])},
        "second_conv": {"kernel": np.array([8.0])},
    }
    slopes = {
        "first_conv": {"kernel": np.array([0.0, -3.0])},
        "second_conv": {"kernel": np.array([2.0])},
    }
    norms = surgical.relative_norms(slopes, params, two_layers())
    assert norms == pytest.approx({"first": 0.6, "second": 0.25})
    assert surgical.auto_rgn(norms) == pytest.approx({"first": 1.0, "second": 0.25 / 0.6})
    stage = surgical.by_gradient(STAGE, two_layers(), norms)
    assert stage.rules[0] == ("head/.*", 1.0)
    assert stage.rules[1:] == (
        ("base/first_.*", 1.0),
        ("base/second_.*", pytest.approx(0.25 / 0.6)),
    )
    assert surgical.auto_rgn({"a": 0.0}) == {"a": 0.0}


def test_a_group_alone_trains_it_and_the_head():
    stage = surgical.alone(STAGE, VGG, "block3")
    assert stage.rules == (("head/.*", 1.0), ("base/block3_.*", 1.0), ("base/.*", None))
    assert stage.views == "auto"
    assert surgical.alone(STAGE, VGG, "block1").views is None
