import json
import math
from dataclasses import replace

import flax.linen as nn
import jax
import numpy as np
import pytest

from tljax.config import PRESETS
from tljax.data.preprocess import UNIT
from tljax.errors import InputError
from tljax.files import orbax_store
from tljax.inputs.feed import Examples
from tljax.inputs.images import Inputs
from tljax.linear.logistic import fit_logistic
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head, rms_norm
from tljax.tasks.classification import CLASSIFICATION
from tljax.train import rung, solver
from tljax.train.ready import Ready

STAGE = PRESETS["tuned"]["linear"]
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module", autouse=True)
def compiled_in_a_hurry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


class Base(nn.Module):
    """A base of one frozen layer, which the features on disk are behind."""

    @nn.compact
    def __call__(self, x, *, train=False, **options):
        return nn.Conv(3, (1, 1), name="conv")(x), {}


def module(*, hidden=0, outputs=1):
    return Classifier(base=Base(), head=Head(outputs=outputs, hidden=hidden))


def examples(count, classes):
    labels = (np.arange(count) % classes).astype(np.int32)
    return Examples(
        (RNG.normal(size=(count, 2, 2, 3)) + 15 * labels[:, None, None, None]).astype(np.float32),
        labels,
    )


def inputs(classes=2, start="head"):
    plain = {"augmented": lambda x, keys, strength: x, "plain": lambda x: x}
    return Inputs(examples(25, classes), examples(10, classes), **plain, start=start)


@pytest.fixture(
    scope="module",
    params=[2, pytest.param(3, marks=pytest.mark.slow)],
    ids=["two classes", "three"],
)
def solved(request):
    """`(module, variables, inputs, records told, (state, history, solution))`."""
    classes, told = request.param, []
    network, read = module(outputs=1 if classes == 2 else classes), inputs(classes)
    variables = build.init(network, key=jax.random.key(4), size=2)
    given = {"ready": Ready(network, variables, read), "seed": 4, "progress": False}
    found = solver.solve_stage(
        STAGE, **given, on_epoch=lambda record, state: told.append((record, int(state.step)))
    )
    return network, variables, read, told, found


def test_the_head_is_the_regression_and_the_base_is_as_it_was(solved):
    _, variables, read, _, (state, _, solution) = solved
    classes = int(read.train.labels.max()) + 1
    kernel, bias, expected = fit_logistic(
        read.train.inputs, read.train.labels, classes=classes, seed=4
    )
    assert solution == expected
    np.testing.assert_array_equal(state.params["head"]["predictions"]["kernel"], kernel)
    np.testing.assert_array_equal(state.params["head"]["predictions"]["bias"], bias)
    for name, leaf in variables["params"]["base"]["conv"].items():
        np.testing.assert_array_equal(state.params["base"]["conv"][name], leaf)


def test_a_head_that_normalises_is_fitted_to_normalised_features(solved):
    _, variables, read, *_ = solved
    classes = int(read.train.labels.max()) + 1
    outputs = 1 if classes == 2 else classes
    network = Classifier(base=Base(), head=Head(outputs=outputs, hidden=0, norm=True))
    state, *_ = solver.solve_stage(STAGE, Ready(network, variables, read), seed=4, progress=False)
    rows = np.asarray(rms_norm(read.train.inputs.reshape(len(read.train), -1)))
    kernel, _, _ = fit_logistic(rows, read.train.labels, classes=classes, seed=4)
    np.testing.assert_allclose(
        state.params["head"]["predictions"]["kernel"], kernel, rtol=1e-5, atol=1e-6
    )


def test_the_start_and_the_end_are_recorded_as_of_two_epochs(solved):
    network, variables, read, told, (state, history, _) = solved
    assert [record for record, _ in told] == history.epochs
    assert [
        (record["rung"], record["seed"], record["epoch"], record["step"]) for record, _ in told
    ] == [
        ("linear", 4, 0, 0),
        ("linear", 4, 1, 1),
    ]
    assert [step for _, step in told] == [0, 1]
    assert all(math.isnan(value) for value in told[0][0]["train"].values())
    for record, params in zip(history.epochs, (variables["params"], state.params), strict=True):
        logits = network.apply({"params": params}, read.validation.inputs, start="head")[0]
        expected = CLASSIFICATION.judged(np.asarray(logits), read.validation.labels)
        assert record["validation"] == pytest.approx(expected, abs=1e-5)
        assert record["rates"] == {}
    assert (
        history.epochs[1]["train"]["accuracy"] == history.epochs[1]["validation"]["accuracy"] == 1.0
    )
    assert history.epochs[0]["validation"]["accuracy"] < 1.0


def test_a_finished_one_is_restored_from_its_checkpoint(solved, tmp_path):
    network, variables, read, _, (state, history, _) = solved
    orbax_store.save(
        tmp_path, history.result()["step"], state=state, meta={"seed": 4}, metrics={"score": 1.0}
    )
    ready = Ready(network, variables, read, Network(hidden=0), UNIT)
    again = rung._restored(STAGE, ready, tmp_path)
    for name, leaf in state.params["head"]["predictions"].items():
        np.testing.assert_array_equal(again.state.params["head"]["predictions"][name], leaf)
    assert again.restored
    assert again.seed == 4
    assert again.logits["validation"].shape == (10, network.head.outputs)


def test_what_is_kept_of_a_solution_is_plain_json(solved):
    *_, (_, _, solution) = solved
    told = json.loads(json.dumps(solution.to_dict()))
    assert list(told) == ["strength", "cross_validation"]
    by_strength = dict(
        zip(told["cross_validation"]["strengths"], told["cross_validation"]["loss"], strict=True)
    )
    assert (
        by_strength[told["strength"]]
        == min(by_strength.values())
        == told["cross_validation"]["held_out"]["loss"]
    )


@pytest.mark.parametrize(
    ("hidden", "start", "said"),
    [
        (4, "head", r"what is solved has no hidden layer, found \['fc1', 'predictions'\]"),
        (0, "block5_conv1", "what is solved is a head on saved features, found block5_conv1"),
        (0, None, "what is solved is a head on saved features, found None"),
    ],
)
def test_another_head_and_other_inputs_are_refused(hidden, start, said):
    network = module(hidden=hidden)
    variables = build.init(network, key=jax.random.key(0), size=2)
    with pytest.raises(InputError, match=f"^stage 'linear': {said}$"):
        solver.solve_stage(STAGE, Ready(network, variables, inputs(start=start)), seed=0)


def test_the_batch_decides_nothing(solved):
    network, variables, read, _, (state, *_) = solved
    given = {"ready": Ready(network, variables, read), "seed": 4, "progress": False}
    other, *_ = solver.solve_stage(replace(STAGE, batch_size=4), **given)
    kernels = [each.params["head"]["predictions"]["kernel"] for each in (state, other)]
    np.testing.assert_array_equal(*kernels)
