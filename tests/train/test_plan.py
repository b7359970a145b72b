from dataclasses import replace

import jax
import numpy as np
import pytest

from tljax import recipe
from tljax.audit.forecast import outlook
from tljax.config import HEAD_ONLY, Plan, Stage
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.models import build, ops, vgg
from tljax.models.build import Network
from tljax.optim.schedules import OneCycle
from tljax.optim.transform import Optimizer
from tljax.train import lr_finder, lr_suggestions, setup
from tljax.train import plan as plan_lib
from tljax.train.program import ahead
from tljax.train.source import Source
from tljax.tree import flatten
from tljax.weights import Weights

NETWORK = Network(hidden=4, options={"width": 0.0625})
ADAM = Optimizer("adam")
HEAD = Stage(
    "head", HEAD_ONLY, lr=1e-2, epochs=2, batch_size=5, optimizer=ADAM, views=1, keep_going=True
)
LATE = recipe.unfreeze(replace(HEAD, name="late"), start="block5_conv1", factor=2.0)
PLAN = Plan("two", (HEAD, LATE))


@pytest.fixture(scope="module", autouse=True)
def in_a_hurry():
    """Compiling takes most of the time here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


def split(count, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int32) % 2, tuple(map(str, range(count))))


SETS = ImageSets("test", ("cat", "dog"), split(10, 0), split(4, 1), "0" * 64)


@pytest.fixture(scope="module")
def weights():
    params = build.init(build.classifier(NETWORK, classes=2), key=jax.random.key(5), size=32)[
        "params"
    ]["base"]
    return Weights(jax.device_get(params), {"name": "vgg16", "width": 0.0625}, UNIT, ("a", "b"), {})


@pytest.fixture(scope="module")
def carried_out(weights, tmp_path_factory):
    records = []
    store = tmp_path_factory.mktemp("store") / "features.h5"
    source = Source(SETS, weights, store=store, progress=False)
    done = plan_lib.train_plan(
        PLAN, Network(hidden=4), source, seed=1, on_epoch=lambda r, s: records.append(r)
    )
    return done, records


def counters(state):
    """Steps that Adam has counted for each leaf."""
    leaves = jax.tree_util.tree_leaves_with_path(state.opt_state)
    return {
        path[-2].key: int(leaf) for path, leaf in leaves if getattr(path[-1], "name", "") == "count"
    }


def test_stages_follow_one_another_and_what_trained_keeps_its_momentum(carried_out, weights):
    (head, late), records = carried_out
    assert [(r["rung"], r["epoch"]) for r in records] == [
        (name, e) for name in ("head", "late") for e in (0, 1, 2)
    ]
    found = counters(late.state)
    assert {path for path, count in found.items() if count == 8} == {
        p for p in found if p.startswith("head")
    }
    assert {path for path, count in found.items() if count == 4} == {
        p for p in found if "block5" in p
    }
    for layer in vgg.CONVS:
        kept = np.array_equal(
            late.state.params["base"][layer]["kernel"], weights.params[layer]["kernel"]
        )
        assert kept == (not layer.startswith("block5"))
    assert np.array_equal(
        head.state.params["base"]["block5_conv1"]["kernel"],
        weights.params["block5_conv1"]["kernel"],
    )


def test_another_optimizer_starts_anew(weights, tmp_path):
    plan = Plan("two", (replace(HEAD, epochs=1, optimizer=Optimizer()), replace(LATE, epochs=1)))
    source = Source(SETS, weights, store=tmp_path / "f.h5", progress=False)
    *_, late = plan_lib.train_plan(plan, Network(hidden=4), source, seed=1)
    assert set(counters(late.state).values()) == {2}


def told(plan):
    outlines = {
        stage.name: (stage, setup.outline(stage, NETWORK, Source(SETS))) for stage in plan.stages
    }
    return outlook(outlines, ahead(outlines))


def test_a_plan_is_told_before_it_runs(carried_out):
    """Parameters, steps and rates as they turn out;
    the step's cost near the one the compiler counts.
    """
    done, _ = carried_out
    plan = replace(PLAN, stages=(HEAD, replace(LATE, lr=OneCycle(1e-2))))
    for look, trained in zip(told(plan), done, strict=True):
        assert (look.trainable_params, look.total_params) == (
            trained.trainable_params,
            trained.total_params,
        )
        assert (look.epochs, look.steps, look.images) == (2, 4, 20)
        assert look.step_flops == trained.history.step_flops
    peak = max(OneCycle(1e-2)(4)(step) for step in range(4))
    assert look.rates == {"head/.*": peak, "base/block5_.*": peak / 2}
    assert told(Plan("p", (replace(HEAD, lr="find"),)))[0].rates == {"head/.*": None}


def test_a_whole_step_costs_what_its_convolutions_do():
    """Three times the products of the forward pass, less those by the image; a formula,
    not the compiler.
    """
    stage = recipe.unfreeze(replace(HEAD, views=None))
    (look,) = told(Plan("p", (stage,)))
    shapes = jax.eval_shape(
        build.classifier(NETWORK, classes=2).init,
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32),
    )
    kernels = {
        p: leaf.shape
        for p, leaf in flatten(shapes["params"]["base"]).items()
        if p.endswith("kernel")
    }
    sides = {1: 32, 2: 16, 3: 8, 4: 4, 5: 2}
    macs = {path: sides[int(path[5])] ** 2 * np.prod(shape) for path, shape in kernels.items()}
    expected = 2 * 5 * (3 * sum(macs.values()) - macs["block1_conv1/kernel"])
    assert look.step_flops == pytest.approx(expected, rel=0.25)


def test_fine_tune_is_one_call(weights):
    """Head first, then everything: all layers have moved, the last by most."""
    like = replace(HEAD, views=None)
    trained = recipe.fine_tune(
        SETS,
        weights,
        epochs=1,
        lr=1e-2,
        network=Network(hidden=4),
        stage=like,
        seed=1,
        progress=False,
    )
    moved = {
        layer: np.abs(
            np.asarray(trained.state.params["base"][layer]["kernel"])
            - weights.params[layer]["kernel"]
        ).max()
        for layer in vgg.CONVS
    }
    assert 0 < moved["block1_conv1"] < moved["block5_conv1"]
    assert int(trained.state.step) == 2
    assert trained.trainable_params == trained.total_params


def test_lr_find_is_one_call(weights):
    found = recipe.lr_find(SETS, weights, HEAD, network=Network(hidden=4), progress=False)
    assert len(found.rates) == len(found.losses) > 10
    expected = lr_suggestions.suggestions(
        found.rates, found.smoothed, steps=lr_finder.STEPS, losses=found.losses
    )
    assert found.suggestions == expected


def test_a_stage_finds_its_rate(weights, tmp_path, monkeypatch):
    caught = []
    found = lr_finder.Finding(*np.ones((3, 1)), {"valley": 0.125})
    monkeypatch.setattr(lr_finder, "find", lambda stage, ready, **_: found)
    monkeypatch.setattr(
        plan_lib.rung.loop,
        "train_stage",
        lambda stage, ready, **_: caught.append(stage.lr) or 1 / 0,
    )
    source = Source(SETS, weights, store=tmp_path / "f.h5", progress=False)
    with pytest.raises(ZeroDivisionError):
        plan_lib.train_plan(
            Plan("p", (replace(HEAD, lr="find"),)), Network(hidden=4), source, seed=1
        )
    assert caught == [0.125]
