from dataclasses import replace
from types import SimpleNamespace

import flax.linen as nn
import jax
import numpy as np
import pytest

from tljax.config import HEAD_ONLY, PRESETS, TRAIN_ALL, Stage
from tljax.data.augment import Augment
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.inputs.feed import Examples
from tljax.machine import devices, memory
from tljax.models import build, ops
from tljax.models.architecture import images_of
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.optim.objective import Objective
from tljax.optim.schedules import WarmupCosine
from tljax.optim.transform import Optimizer
from tljax.sweep.heads_of_seeds import networks, starts
from tljax.sweep.memory_plan import limit, planned
from tljax.sweep.sweep import fits_sweep, stage_at, sweep, train_seeds
from tljax.train import loop
from tljax.train.ready import Ready
from tljax.tree import flatten


def as_float(rows, *keys_and_strength):
    return rows.astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def compiled_in_a_hurry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


class Flat(nn.Module):
    """A base without parameters."""

    @nn.compact
    def __call__(self, x, *, train=False, **options):
        return x.reshape(x.shape[0], -1), {}


LINEAR = Classifier(base=Flat(), head=Head(outputs=1, hidden=0))
# 20 images, batches of 8: 2 steps an epoch, in and out of step with the passes.
STAGE = Stage(
    "tiny", TRAIN_ALL, lr=0.5, epochs=3, optimizer=Optimizer("sgd", momentum=0.0), batch_size=8
)
STAGE = replace(STAGE, keep_going=True)  # a sweep goes back to no epoch
ONE = devices.mesh(jax.devices()[:1])


def images(count, *, size, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count).astype(np.int32)
    pixels = rng.integers(0, 156, (count, size, size, 3)) + 100 * labels[:, None, None, None]
    return ImageSet(pixels.astype(np.uint8), labels, tuple(f"{seed}/{i}" for i in range(count)))


def photographs(size=4):
    sets = images(20, size=size, seed=0), images(37, size=size, seed=1)
    return ImageSets("test", ("cat", "dog"), *sets, "0" * 64)


SETS = photographs()
PIXELS = inputs.from_images(SETS, augment=None, preprocess=UNIT)
START = build.init(LINEAR, key=jax.random.key(9), size=4)
LINES = Ready(LINEAR, START, PIXELS)


def alone(stage, run, ready):
    return loop.train_stage(
        stage_at(stage, run.values), ready, seed=run.seed, over=ONE, progress=False
    )


def assert_same(run, state, history):
    """Parameters, averages and metrics to 1e-5."""
    for name in ("params", "ema", "model_state"):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
            getattr(run.state, name),
            getattr(state, name),
        )
    assert int(run.state.step) == int(state.step)
    assert len(run.history.epochs) == len(history.epochs)
    for found, expected in zip(run.history.epochs, history.epochs, strict=True):
        assert found.keys() == expected.keys()
        for name in ("epoch", "step", "rung", "seed"):
            assert found[name] == expected[name]
        for name in ("train", "validation", "rates"):
            assert found[name] == pytest.approx(expected[name], abs=1e-5, nan_ok=True)
        assert found.get("grad_norm", 0) == pytest.approx(
            expected.get("grad_norm", 0), rel=1e-4, abs=1e-5
        )


def test_two_steps_are_gradient_descent_by_hand_for_every_rate():
    """Logistic regression in float64, on a batch that is the whole set: order does not matter."""
    stage = replace(STAGE, batch_size=20, epochs=2)
    told = []
    rates = [0.1, 0.5]
    found = sweep(stage, LINES, seeds=[0, 1], grid={"lr": rates}, over=ONE, tell=told.append)
    x, y = SETS.train.images.reshape(20, -1) / 255, SETS.train.labels
    held, right = SETS.validation.images.reshape(37, -1) / 255, SETS.validation.labels
    start = np.asarray(START["params"]["head"]["predictions"]["kernel"], np.float64)[:, 0]
    assert [(run.values["lr"], run.seed) for run in found.runs] == [
        (0.1, 0),
        (0.1, 1),
        (0.5, 0),
        (0.5, 1),
    ]
    for i, run in enumerate(found.runs):
        w, b, rate = start.copy(), 0.0, rates[i // 2]
        for _ in range(2):
            g = (1 / (1 + np.exp(-(x @ w + b))) - y) / 20
            w, b = w - rate * g @ x, b - rate * g.sum()
        last = run.state.params["head"]["predictions"]
        np.testing.assert_allclose(last["kernel"][:, 0], w, atol=1e-5)
        z = held @ w + b
        np.testing.assert_allclose(run.logits[:, 0], z, atol=1e-4)
        expected = {
            "loss": (np.logaddexp(0, z) - right * z).mean(),
            "accuracy": ((z > 0) == right).mean(),
            "n": 37,
        }
        assert run.history.result()["validation"] == pytest.approx(expected, abs=1e-5)
    assert found.at({"lr": 0.5}) == found.runs[2:]
    assert len(told) == 1
    assert "4 members in 1 call, " in told[0]


@pytest.fixture
def features():
    """Saved features of a frozen layer, and a network whose head alone reads them."""
    rng = np.random.default_rng(3)
    module = build.classifier(
        build.Network(hidden=8, dropout_hidden=True, options={"width": 0.0625}), classes=2
    )
    variables = jax.tree.map(np.asarray, build.init(module, key=jax.random.key(4), size=32))
    train, held = (
        Examples(
            rng.normal(size=(n, 1, 1, 32)).astype(np.float32),
            rng.integers(0, 2, n).astype(np.int32),
        )
        for n in (20, 11)
    )
    read = replace(PIXELS, train=train, validation=held, plain=as_float, augmented=as_float)
    return Ready(module, variables, replace(read, start="head"), build.Network(), UNIT)


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "vmap"])
def test_heads_on_features_equal_single_runs_over_devices_in_calls(features, monkeypatch, at_once):
    """Decay and dropout vary, the rate is a schedule; 12 members in calls of 8, traced once."""
    if at_once:  # as on an accelerator
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    optimizer = Optimizer("adam", weight_decay=0.0)
    stage = replace(STAGE, rules=HEAD_ONLY, lr=WarmupCosine(0.01), optimizer=optimizer, ema=0.9)
    grid = {"weight_decay": [0.0, 0.5], "dropout": [0.0, 0.6]}
    traces = []
    counted = replace(features.inputs, augmented=lambda *args: traces.append(1) or as_float(*args))
    first = starts(replace(features, inputs=counted), seeds=[3, 4, 5], like=images_of(32))
    found = sweep(stage, first, seeds=[3, 4, 5], grid=grid, over=devices.mesh(), most=8)
    assert str(found.plan).startswith("12 members in 2 calls of 8 over 8 devices")
    assert len(traces) == 1
    for run in (found.runs[0], found.runs[4], found.runs[11]):
        expected = alone(
            replace(stage, dropout=0.0), run, replace(first(run.seed), inputs=features.inputs)
        )
        assert_same(run, *expected)
        shared = features.variables["params"]["base"]["block1_conv1"]["kernel"]
        assert run.state.params["base"]["block1_conv1"]["kernel"] is shared
    assert len({run.state.params["head"]["fc1"]["kernel"].tobytes() for run in found.runs}) == 12


def test_the_first_head_of_a_seed_is_the_one_that_init_draws(features):
    first = starts(features, seeds=[0, 7], like=images_of(32))
    expected = build.init(features.module, key=jax.random.key(7), size=32)["params"]["head"]
    head = first(7).variables["params"]["head"]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), head, expected)


@pytest.mark.slow
def test_a_network_from_scratch_equals_single_runs():
    """Augmentation at two strengths, dropout, a schedule, and batch order by seed."""
    sets = photographs(size=32)
    module = build.classifier(
        build.Network(base="cnn", hidden=4, dropout_flat=True, options={"padding": "SAME"}),
        classes=2,
    )
    stage = replace(STAGE, lr=WarmupCosine(0.05), augment=Augment(), dropout=0.5, epochs=1)
    read = inputs.from_images(sets, augment=stage.augment, preprocess=UNIT)
    first = {seed: build.init(module, key=jax.random.key(seed), size=32) for seed in (0, 1)}
    readies = {seed: Ready(module, variables, read) for seed, variables in first.items()}
    grid = {"augment_strength": [0.3, 1.0]}
    found = sweep(stage, readies.__getitem__, seeds=[0, 1], grid=grid, over=ONE)
    run = found.runs[1]
    assert (run.seed, run.values) == (1, {"augment_strength": 0.3})
    assert_same(run, *alone(stage, run, readies[1]))


def test_a_run_that_diverges_is_marked_and_spoils_no_other():
    found = sweep(STAGE, LINES, seeds=[0], grid={"lr": [0.1, 3e38, 0.2]}, over=ONE)
    assert [run.finite for run in found.runs] == [True, False, True]
    assert not all(np.isfinite(record["train"]["loss"]) for record in found.runs[1].history.epochs)
    for run in (found.runs[0], found.runs[2]):
        assert_same(run, *alone(STAGE, run, LINES))


def test_seeds_have_starts_and_views_of_their_own(features):
    """Two seeds with other heads and other views of the photographs, against the loop with each."""
    read = features.inputs
    stage = replace(
        STAGE, rules=HEAD_ONLY, dropout=0.5, objective=Objective(class_weights="balanced")
    )
    first = starts(features, seeds=[1, 2], like=images_of(32))
    readies = {}
    for seed in (1, 2):
        views = np.random.default_rng(seed).normal(size=(40, 1, 1, 32)).astype(np.float32)
        own = replace(read, train=replace(read.train, inputs=views, views=2))
        readies[seed] = replace(first(seed), inputs=own)
    assert fits_sweep(stage, readies[1]) is None
    for (state, history), (seed, ready) in zip(
        train_seeds(stage, readies, over=ONE), readies.items(), strict=True
    ):
        expected, told = loop.train_stage(stage, ready, seed=seed, over=ONE, progress=False)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), state.params, expected.params
        )
        assert history.result()["validation"] == pytest.approx(
            told.result()["validation"], abs=1e-5
        )
        assert history.step_flops == pytest.approx(told.step_flops, rel=0.2)
        assert history.temporary_bytes > 0
    with pytest.raises(
        InputError, match="stage 'tiny': the loss of seed 1 is not finite; lower the rate"
    ):
        train_seeds(replace(stage, lr=3e38), readies, over=ONE)


def test_why_a_sweep_does_not_fit(features):
    ready, head = features, replace(STAGE, rules=HEAD_ONLY)
    assert fits_sweep(replace(head, lr="find"), ready) == "each seed finds a rate of its own"
    assert fits_sweep(PRESETS["tuned"]["linear"], ready) == "it is solved, without steps"
    assert fits_sweep(replace(head, patience=2), ready) == "each seed stops at an epoch of its own"
    skipping = replace(head, skip_nonfinite=True)
    assert fits_sweep(skipping, ready) == "each seed skips steps of its own"
    assert "block1_conv1/kernel trains" in str(fits_sweep(STAGE, ready))


def test_an_accelerator_maps_whole_rungs_whose_examples_fit(features, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert fits_sweep(STAGE, features) is None
    assert fits_sweep(replace(STAGE, patience=2), features) is not None
    read = features.inputs
    needed = read.train.inputs.nbytes + read.validation.inputs.nbytes
    monkeypatch.setattr("tljax.inputs.feed.room", lambda: needed - 1)
    assert "they are streamed" in str(fits_sweep(STAGE, features))


class Convolved(nn.Module):
    """A base that trains: two convolutions, each pooled."""

    @nn.compact
    def __call__(self, x, *, train=False, **options):
        for name in ("conv1", "conv2"):
            kernel = self.param(name, nn.initializers.lecun_normal(), (3, 3, x.shape[-1], 4))
            x = ops.max_pool(nn.relu(ops.conv(x, kernel, padding="SAME")))
        return x.reshape(x.shape[0], -1), {}


def test_convolutions_of_several_seeds_at_once_equal_single_runs(monkeypatch):
    """As on an accelerator: kernels, orders and rates of their own, in one mapped program."""
    module = Classifier(base=Convolved(), head=Head(outputs=1, hidden=4, dropout_hidden=True))
    read = inputs.from_images(photographs(size=8), augment=None, preprocess=UNIT)
    stage = replace(STAGE, dropout=0.5, lr=0.05)
    ready = Ready(module, build.init(module, key=jax.random.key(0), size=8), read)
    mapped = []
    with monkeypatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "gpu")
        assert fits_sweep(stage, ready) is None
        vmap = jax.vmap
        patch.setattr(jax, "vmap", lambda f, **how: mapped.append(f) or vmap(f, **how))
        first = networks(ready, seeds=[0, 7], like=images_of(8))
        found = sweep(stage, first, seeds=[0, 7], grid={"lr": [0.05, 0.2]}, over=ONE)
    assert "program" in [f.__name__ for f in mapped]
    assert str(found.plan).startswith("4 members in 1 call, ")
    for run in (found.runs[1], found.runs[2]):
        own = build.init(module, key=jax.random.key(run.seed), size=8)
        expected = alone(stage, run, replace(ready, variables=own))
        assert_same(run, *expected)
        moved = run.state.params["base"]["conv1"] - own["params"]["base"]["conv1"]
        assert np.abs(moved).max() > 1e-3


class Counted:
    """A program whose bytes are 100 shared and 10 a member on each device."""

    def __init__(self, size, devices):
        self.argument_size_in_bytes, self.temp_size_in_bytes = (
            100 + 4 * size // devices,
            6 * size // devices,
        )
        self.output_size_in_bytes = self.alias_size_in_bytes = 3

    def memory_analysis(self):
        return self


@pytest.mark.parametrize(
    ("members", "count", "limit", "sizes"),
    [
        (32, 1, 1000, [32]),
        (32, 1, 300, [32, 16]),
        (32, 4, 140, [32, 12]),
        (3, 4, 200, [4]),
        (5, 1, 111, [5, 1]),
    ],
)
def test_calls_are_as_large_as_fit(members, count, limit, sizes):
    tried = []

    def compiled_for(size):
        tried.append(size)
        return Counted(size, count)

    plan, _ = planned(
        compiled_for, members=members, devices=count, shared=100, most=64, limit=limit
    )
    assert (tried[0], tried[-1]) == (sizes[0], sizes[-1])
    assert plan.size == sizes[-1]
    assert plan.bytes == 100 + 10 * plan.size // count <= limit
    assert plan.size * plan.calls >= members


@pytest.mark.parametrize("counted", [None, SimpleNamespace(output_size_in_bytes=0)])
def test_memory_that_the_compiler_does_not_tell_is_no_room_for_many(counted):
    """Zeros in every place are no count either: one member a device, and the plan says why."""
    tried = []
    silent = SimpleNamespace(memory_analysis=lambda: counted)
    plan, compiled = planned(
        lambda size: tried.append(size) or silent,
        members=32,
        devices=4,
        shared=100,
        most=64,
        limit=1000,
    )
    assert (tried, plan.size, plan.calls, compiled) == ([32, 4], 4, 8, silent)
    assert str(plan) == (
        "32 members in 8 calls of 4 over 4 devices, one member a device at a time: "
        "the compiler does not say what memory they take"
    )


def test_a_call_may_take_what_the_fullest_device_has_free(monkeypatch):
    """What members share is in use already, and is a part of the call."""
    says = [{"bytes_limit": 1000, "bytes_in_use": 300}, {"bytes_limit": 1000, "bytes_in_use": 400}]
    over = SimpleNamespace(devices=np.array([SimpleNamespace(memory_stats=s.copy) for s in says]))
    assert limit(over, shared=50) == 540 + 50
    says[1].clear()
    assert limit(over, shared=50) == 630 + 50
    monkeypatch.setattr("tljax.sweep.memory_plan.room", lambda: 77)
    assert limit(ONE, shared=50) == 77


def test_a_plan_is_made_from_the_program_s_own_memory(monkeypatch):
    """With room for half of what grows with them there are more calls, and the same results."""
    one, whole = (sweep(STAGE, LINES, seeds=range(n), over=ONE) for n in (1, 8))
    limit = (one.plan.bytes + whole.plan.bytes) // 2
    monkeypatch.setattr("tljax.sweep.memory_plan.room", lambda: limit)
    parts = sweep(STAGE, LINES, seeds=range(8), over=ONE)
    assert parts.plan.calls > 1
    assert parts.plan.bytes <= limit
    for a, b in zip(whole.runs, parts.runs, strict=True):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), a.state.params, b.state.params
        )
    monkeypatch.setattr("tljax.sweep.memory_plan.room", lambda: 1000)
    with pytest.raises(InputError, match=r"sweep: one member needs .* MB; 0 MB may be used"):
        sweep(STAGE, LINES, seeds=range(8), over=ONE)
    assert memory.room() > 1e8


@pytest.mark.parametrize(
    ("stage", "grid", "message"),
    [
        (STAGE, {"rate": [1.0]}, "expected some of lr, dropout.*; found 'rate'"),
        (STAGE, {"augment_strength": [1.0]}, "stage 'tiny' has no augmentation"),
        (
            replace(STAGE, optimizer=Optimizer()),
            {"momentum": [0.5]},
            "rmsprop has no momentum to vary",
        ),
        (STAGE, {"lr": [-1.0]}, "lr must be a positive number"),
        (STAGE, {"lr": []}, "a value or more for each name"),
        (replace(STAGE, lr="find"), {}, "finds a rate a run"),
        (replace(STAGE, patience=1), {}, "ends each run at an epoch of its own"),
    ],
)
def test_what_cannot_be_swept_is_named(stage, grid, message):
    with pytest.raises(InputError, match=message):
        sweep(stage, LINES, seeds=[0], grid=grid)


def test_rules_decide_what_is_stacked():
    """The bias is frozen: it stays, for every seed."""
    frozen = replace(STAGE, rules=(("head/.*/bias", None), (".*", 1.0)))
    for run in sweep(frozen, LINES, seeds=[0, 1], over=ONE).runs:
        assert not flatten(run.state.params)["head/predictions/bias"].any()
