"""That a plan's hyperparameters come back from schedules.json as the loop will have them."""

from dataclasses import replace

import numpy as np
import pytest

from tljax.config import HEAD_ONLY, Stage
from tljax.data.augment import Augment
from tljax.errors import InputError
from tljax.optim.schedules import WarmupCosine
from tljax.optim.transform import Optimizer
from tljax.runs import planned
from tljax.train.segments import hyperparameters

STAGE = Stage(
    "head", HEAD_ONLY, WarmupCosine(0.5), epochs=2, batch_size=4, images_per_epoch=40, dropout=0.25
)


def test_each_step_of_a_short_stage_comes_back(tmp_path):
    planned.write_planned(
        [STAGE, replace(STAGE, name="more", lr="find")], images=7, workdir=tmp_path
    )
    (name, values), (_, without) = planned.read_planned(tmp_path)
    assert name == "head"
    lr = hyperparameters(STAGE, steps=20)["lr"]
    np.testing.assert_array_equal(values["lr"], [lr(step) for step in range(20)])
    np.testing.assert_array_equal(values["dropout"], np.full(20, 0.25))
    assert "lr" not in without  # a range test has yet to find it
    assert "weight_decay" not in values  # nothing


def test_a_long_stage_is_thinned_and_held(tmp_path, monkeypatch):
    monkeypatch.setattr(planned, "POINTS", 3)
    planned.write_planned([STAGE], images=7, workdir=tmp_path)
    lr = hyperparameters(STAGE, steps=20)["lr"]
    ((_, values),) = planned.read_planned(tmp_path)
    expected = [lr(0)] * 10 + [lr(10)] * 9 + [lr(19)]  # steps 0, 9.5 to the even 10, 19
    np.testing.assert_array_equal(values["lr"], expected)


def test_a_run_of_old_has_none_and_a_garbled_file_is_named(tmp_path):
    assert planned.read_planned(tmp_path) == []
    for text in (
        '{"stages": [7]}',
        '{"stages": [{"name": "a", "steps": 2, "at": [0], "values": {"lr": ["x"]}}]}',
    ):
        (tmp_path / "schedules.json").write_text(text)
        with pytest.raises(
            InputError, match=r"schedules\.json: expected stages with steps and values"
        ):
            planned.read_planned(tmp_path)


def test_what_a_stage_does_not_use_is_no_schedule_of_it(tmp_path):
    """RMSprop has no momentum, and a stage without augmentation no strength of it."""
    adam = replace(STAGE, name="adam", optimizer=Optimizer("adam"), augment=Augment())
    planned.write_planned([STAGE, adam], images=7, workdir=tmp_path)
    (_, plain), (_, augmented) = planned.read_planned(tmp_path)
    assert set(plain) == {"lr", "dropout"}
    assert set(augmented) == {"lr", "dropout", "augment", "momentum"}
