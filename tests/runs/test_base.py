"""A finished run as the base of another: which classifier of it, and that nothing is lost."""

import jax
import numpy as np
import pytest

from tljax.data.preprocess import CAFFE
from tljax.errors import InputError
from tljax.models import build
from tljax.models.build import Network
from tljax.runs.base import load_base, of_run, weights_of
from tljax.train.loop import History
from tljax.train.outcome.trained import Trained
from tljax.train.step import State
from tljax.weights import read, write

NETWORK = Network(hidden=0, options={"width": 1 / 64, "norm": True})


def trained(network=NETWORK, *, averages=None) -> Trained:
    """Parameters and statistics of a number each, counted up."""
    module = build.classifier(network, classes=2)
    tree = build.init(module, key=jax.random.key(0), size=32)
    leaves, shape = jax.tree.flatten(tree)
    numbered = [np.full(leaf.shape, i, np.float32) for i, leaf in enumerate(leaves, start=1)]
    variables = jax.tree.unflatten(shape, numbered)
    scores = {"loss": 0.1, "accuracy": 0.9, "n": 4}
    record = {"rung": "t", "seed": 3, "epoch": 1, "step": 1, "train": scores, "validation": scores}
    params = variables.pop("params")
    state = State(np.int32(1), params, variables, {}, averages or {})
    about = {"classes": ("ant", "bee"), "size": 32, "rung": "t", "seed": 3, "data": "d" * 64}
    return Trained(state, History([record]), network, CAFFE, 1, 1, **about)


@pytest.mark.parametrize("name", ["", ":t", ":t:3"])
def test_a_saved_classifier_is_a_base(tmp_path, name):
    """Parameters, statistics, preprocessing, size and options, as they were."""
    made = trained()
    folder = made.save(tmp_path / "mine")
    found = load_base(f"{folder}{name}")
    assert jax.tree.all(jax.tree.map(np.array_equal, found.params, made.state.params["base"]))
    statistics = made.state.model_state["batch_stats"]["base"]
    assert jax.tree.all(jax.tree.map(np.array_equal, found.statistics, statistics))
    assert found.architecture == {"name": "vgg16", **NETWORK.options}
    assert found.preprocess == CAFFE
    assert found.classes == ("ant", "bee")
    about = {name: found.provenance[name] for name in ("run", "rung", "seed", "size", "data")}
    assert about == {"run": "mine", "rung": "t", "seed": 3, "size": 32, "data": "d" * 64}


def test_averaged_parameters_are_the_base(tmp_path):
    kernel = np.full((3, 3, 3, 1), 9, np.float32)
    found = weights_of(trained(averages={"base/block1_conv1/kernel": kernel}))
    np.testing.assert_array_equal(found.params["block1_conv1"]["kernel"], kernel)


def test_it_comes_back_from_a_file(tmp_path):
    weights = load_base(str(trained().save(tmp_path / "run")))
    write(tmp_path / "w.safetensors", weights)
    again = read(tmp_path / "w.safetensors")
    assert again.digest == weights.digest
    assert (again.architecture, again.preprocess) == (weights.architecture, weights.preprocess)
    assert again.provenance == weights.provenance
    assert of_run(str(tmp_path / "w.safetensors")) is None
    assert load_base(str(tmp_path / "w.safetensors")).digest == weights.digest


def test_what_is_no_base_is_named(tmp_path):
    folder = trained().save(tmp_path / "run")
    for name, message in (
        (f"{folder}:u", "expected a finished rung u, found t \\(seed 3\\)"),
        (f"{folder}:t:4", "expected a finished rung t, seed 4, found t \\(seed 3\\)"),
        (f"{folder}:t:x", "expected RUN:RUNG:SEED, found the seed 'x'"),
        (f"{tmp_path}", "expected a weights file, found no file"),
        (f"{tmp_path / 'nothing'}:t", "expected a weights file"),
    ):
        with pytest.raises(InputError, match=message):
            load_base(name)
    scratch = trained(Network(base="cnn", hidden=0, options={"padding": "SAME"}))
    with pytest.raises(InputError, match="t: expected a base network, found cnn"):
        weights_of(scratch)
