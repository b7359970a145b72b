"""The page's part on training: why training accuracy may be below validation."""

import numpy as np

from tljax.report.pages import training


def series(train, validation):
    return {0: {"train/accuracy": np.array(train), "validation/accuracy": np.array(validation)}}


def planned(**stage):
    return {"stage": {"augment": None, "dropout": 0.0} | stage}


def test_training_below_validation_is_explained_by_what_the_stage_does():
    metrics = {
        "a": series([np.nan, 0.7], [0.5, 0.8]),
        "b": series([np.nan, 0.9], [0.5, 0.8]),
        "c": series([np.nan, 0.7], [0.5, 0.8]),
        "d": series([np.nan, 0.7], [0.5, 0.8]),
    }
    plan = {
        "a": planned(augment={"zoom": 0.2}),
        "b": planned(augment={"zoom": 0.2}),
        "c": planned(),
        "d": planned(dropout=0.5),
    }
    text = training.training_below(metrics, {"plan": plan})
    assert text == (
        "Training ends below validation, and that is no fault, in a (augmentation); d (dropout): "
        "augmentation varies the training examples, dropout leaves out a part of the network, and "
        "validation goes without."
    )
    only = training.training_below({"d": metrics["d"]}, {"plan": plan})
    assert "in d (dropout): dropout leaves out" in only
    assert "augmentation" not in only
    assert training.training_below(metrics, {}) == ""
