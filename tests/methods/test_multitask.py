"""Two heads on one base: a step by the chain rule, weights, orders, and what is left of it."""

from dataclasses import replace
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.config import TRAIN_ALL, Stage
from tljax.data.draws import draws
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.machine import devices
from tljax.methods import multitask
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.models.classifiers import TwoHeaded
from tljax.models.heads import Head
from tljax.optim.objective import Objective
from tljax.optim.transform import Optimizer
from tljax.tasks.classification import CLASSIFICATION
from tljax.train import loop
from tljax.train.ready import Ready
from tljax.train.second_batch import Beside
from tljax.train.source import Source
from tljax.train.step import State

SGD = Optimizer("sgd", momentum=0.0)
STAGE = Stage("tiny", TRAIN_ALL, 0.1, epochs=2, optimizer=SGD, batch_size=4, keep_going=True)
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
ONE = {"over": devices.mesh(jax.devices()[:1]), "progress": False}


@pytest.fixture(scope="module", autouse=True)
def compiled_in_a_hurry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


class Linear(nn.Module):
    """A base of one matrix."""

    @nn.compact
    def __call__(self, x, *, train=False, **options):
        return nn.Dense(3, use_bias=False, name="matrix")(x.reshape(x.shape[0], -1)), {}


MODULE = TwoHeaded(base=Linear(), head=Head(outputs=1, hidden=0), other=Head(outputs=3, hidden=0))


def split(count, seed, *, classes=2, size=2):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, size, size, 3)).astype(np.uint8)
    labels = (np.arange(count) % classes).astype(np.int32)
    return ImageSet(images, labels, tuple(map(str, range(count))))


def sets(seed=0, *, classes=2, size=2, count=8):
    names = tuple("abcdef"[:classes])
    one, other = (split(count, seed + i, classes=classes, size=size) for i in (1, 2))
    return ImageSets("test", names, one, other, str(seed) * 64)


def train(own_weight=1.0, weight=1.0, *, other=None, seed=0, batch_size=6, stage=STAGE):
    read = inputs.from_images(sets(), augment=None, preprocess=UNIT)
    beside_read = inputs.from_images(
        other or sets(5, classes=3, count=12), augment=None, preprocess=UNIT
    )
    beside = Beside(
        beside_read, batch_size, multitask.weighted(own_weight=own_weight, weight=weight)
    )
    return loop.train_stage(stage, Ready(MODULE, start(), read, second=beside), seed=seed, **ONE)


def start():
    return build.init(MODULE, key=jax.random.key(0), size=2)


def by_hand(own_weight, weight, *, seed):
    """The same stage in float64: both heads descend by their own task,
    the base by the weighted sum.
    """
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), start()["params"])
    base, ours, theirs = (
        params["base"]["matrix"],
        params["head"]["predictions"],
        params["other"]["predictions"],
    )
    one, other = sets().train, sets(5, classes=3, count=12).train
    losses = []
    for step in range(4):
        _, mine = draws(step * 4, 4, examples=8, seed=seed)
        _, yours = draws(step * 6, 6, examples=12, seed=seed + (1 << 31))
        x, y = (
            each.images[rows].reshape(len(rows), -1) / 255
            for each, rows in ((one, mine), (other, yours))
        )
        a, b = (
            x @ base["kernel"] @ ours["kernel"] + ours["bias"],
            y @ base["kernel"] @ theirs["kernel"] + theirs["bias"],
        )
        p, q = 1 / (1 + np.exp(-a)), np.exp(b) / np.exp(b).sum(1, keepdims=True)
        right = q[np.arange(6), other.labels[yours]]
        losses.append(-np.log(right).mean())
        da = own_weight * (p - one.labels[mine][:, None]) / 4
        db = weight * (q - np.eye(3)[other.labels[yours]]) / 6
        dbase = x.T @ da @ ours["kernel"].T + y.T @ db @ theirs["kernel"].T
        features = (x @ base["kernel"], y @ base["kernel"])
        for head, error, seen in ((ours, da, features[0]), (theirs, db, features[1])):
            head["kernel"] = head["kernel"] - 0.1 * seen.T @ error
            head["bias"] = head["bias"] - 0.1 * error.sum(0)
        base["kernel"] = base["kernel"] - 0.1 * dbase
    return params, losses


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, 3.0)])
def test_both_heads_and_the_base_descend_by_the_chain_rule(weights):
    """Each set in an order of its own, 4 and 6 images a step."""
    state, history = train(*weights, seed=3)
    expected, losses = by_hand(*weights, seed=3)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), dict(state.params), expected
    )
    told = [record["train"]["beside_loss"] for record in history.epochs[1:]]
    assert told == pytest.approx([np.mean(losses[:2]), np.mean(losses[2:])], rel=1e-4)
    assert history.epochs[-1]["validation"]["n"] == 8  # of the stage's own task


def test_sets_of_equal_size_do_not_meet_in_the_same_pairs():
    """Else a photograph and its corrupted copy would always share a batch."""
    seen = []

    def spy(apply, objective, task):
        def loss(variables, batch, rate):
            jax.debug.callback(
                lambda *pair: seen.append(pair), batch["image"], batch["beside"]["image"]
            )
            return multitask.weighted(own_weight=1.0, weight=1.0)(apply, objective, task)(
                variables, batch, rate
            )

        return loss

    read = inputs.from_images(sets(), augment=None, preprocess=UNIT)
    loop.train_stage(
        STAGE, Ready(MODULE, start(), read, second=Beside(read, 4, spy)), seed=0, **ONE
    )
    jax.effects_barrier()
    assert len(seen) == 4
    assert not all(np.array_equal(mine, yours) for mine, yours in seen)
    assert not any(
        np.array_equal(np.sort(a.sum((1, 2, 3))), np.sort(b.sum((1, 2, 3)))) for a, b in seen
    )


def test_many_devices_give_what_one_gives():
    alone, _ = train(batch_size=4)
    read, other = (
        inputs.from_images(each, augment=None, preprocess=UNIT)
        for each in (sets(), sets(5, classes=3, count=12))
    )
    beside = Beside(other, 4, multitask.weighted(own_weight=1.0, weight=1.0))
    many, _ = loop.train_stage(
        STAGE, Ready(MODULE, start(), read, second=beside), seed=0, progress=False
    )
    assert many.params["base"]["matrix"]["kernel"].sharding.mesh.size == 4
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), alone.params, many.params
    )


def test_a_batch_that_the_devices_cannot_share_is_refused():
    read = inputs.from_images(sets(), augment=None, preprocess=UNIT)
    beside = Beside(read, 6, multitask.weighted(own_weight=1.0, weight=1.0))
    ready = Ready(MODULE, start(), read, second=beside)
    with pytest.raises(InputError, match="batch size 6 cannot be split over 4 devices"):
        loop.train_stage(STAGE, ready, seed=0, over=devices.mesh(jax.devices()[:4]), progress=False)


def test_batch_statistics_are_those_of_both_batches():
    network = Network(hidden=4, options={"width": 0.0625, "norm": True})
    module = build.two_headed(network, classes=2, others=3)
    variables = build.init(module, key=jax.random.key(0), size=32)
    assert set(variables["params"]) == {"base", "head", "other"}
    x = jnp.float32(np.random.default_rng(0).normal(size=(6, 32, 32, 3)))
    x = x.at[2:].add(1.0)
    options = {"train": True, "mutable": ["batch_stats"]}
    (ours, theirs), moved = quick(partial(module.apply, own=2, method="together", **options))(
        variables, x
    )
    assert (ours.shape, theirs.shape) == ((2, 1), (4, 3))
    _, expected = quick(partial(build.classifier(network, classes=2).apply, **options))(
        variables, x
    )
    layer = "block1_conv1"
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
        moved["batch_stats"]["base"][layer],
        expected["batch_stats"]["base"][layer],
    )


def test_a_plain_classifier_is_left(monkeypatch):
    """Without the other head and without normalisation, with the outputs that it had."""
    monkeypatch.setattr(devices, "mesh_for", lambda batch_size: ONE["over"])
    stage = replace(STAGE, lr=1e-3, epochs=1)
    network = Network(hidden=4, options={"width": 0.0625, "norm": True})
    other = multitask.Other(sets(5, classes=3, size=32), batch_size=4)
    caught = []
    trained = multitask.run(
        stage,
        network,
        Source(sets(size=32), progress=False),
        other=other,
        seed=0,
        on_epoch=lambda record, state: caught.append(jax.device_get(state)),
    )
    assert set(trained.state.params) == {"base", "head"}
    assert trained.network.options == {"width": 0.0625}
    assert not trained.state.model_state
    module = build.two_headed(network, classes=2, others=3)
    whole = {"params": caught[-1].params, **caught[-1].model_state}
    expected, _ = quick(module.apply)(whole, multitask.TORCH(sets(size=32).validation.images))
    np.testing.assert_allclose(trained.logits["validation"], expected, rtol=1e-3, atol=1e-4)
    assert trained.total_params == sum(leaf.size for leaf in jax.tree.leaves(whole["params"]))


def test_in_turn_hands_on_the_base_with_its_statistics_and_no_head(monkeypatch):
    """The source first, on its own photographs; the time told is that of both."""
    calls, ends = [], []

    def train_stage(stage, ready, **options):
        calls.append((stage.name, ready.variables, ready.inputs))
        raised = jax.tree.map(lambda leaf: leaf + len(calls), ready.variables)
        state = State(jnp.int32(1), raised["params"], {"batch_stats": raised["batch_stats"]}, {})
        ends.append(state)
        return state, loop.History([{"epoch": 1, "seed": 0}], seconds=2.0)

    monkeypatch.setattr(multitask.loop, "train_stage", train_stage)
    monkeypatch.setattr(multitask.predictions, "held_out", lambda state, **options: {})
    first, network = (
        replace(STAGE, name="first"),
        Network(hidden=4, options={"width": 0.0625, "norm": True}),
    )
    target, source = sets(size=32), sets(5, classes=3, size=32)
    trained = multitask.in_turn(first, STAGE, network, Source(target), other=source, seed=0)
    (name, started, read), (after, then, own) = calls
    assert (name, after) == ("first", "tiny")
    assert read.train.inputs is source.train.images
    assert own.train.inputs is target.train.images
    same = jax.tree.map(
        lambda a, b: bool((a == b).all()), then["params"]["base"], ends[0].params["base"]
    )
    assert all(jax.tree.leaves(same))
    same = jax.tree.map(
        lambda a, b: bool((a == b).all()), then["batch_stats"], ends[0].model_state["batch_stats"]
    )
    assert all(jax.tree.leaves(same))
    shapes = [tree["params"]["head"]["predictions"]["kernel"].shape for tree in (started, then)]
    assert shapes == [(4, 3), (4, 1)]
    assert trained.history.seconds == 4.0
    assert trained.network.options == {"width": 0.0625}


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="expected images of 2 pixels, found 4"):
        multitask.run(
            STAGE, Network(), Source(sets()), other=multitask.Other(sets(size=4), 4), seed=0
        )
    with pytest.raises(InputError, match="without mixup"):
        multitask.weighted(own_weight=1.0, weight=1.0)(
            MODULE.apply, Objective(mixup=0.2), CLASSIFICATION
        )
