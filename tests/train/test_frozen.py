"""What the rules freeze, in the traced program and in the bits."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tljax.config import HEAD_ONLY, Stage
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.machine import devices
from tljax.models import build, ops
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.train import frozen, loop
from tljax.train.ready import Ready

STAGE = Stage("late", HEAD_ONLY, lr=1e-2, epochs=2, batch_size=4)


@pytest.fixture(scope="module", autouse=True)
def compiled_in_a_hurry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


class Normed(nn.Module):
    """A base of one scale and its statistics, which `still` keeps as they are."""

    still: bool = True

    @nn.compact
    def __call__(self, x, *, train=False, **options):
        return nn.BatchNorm(use_running_average=self.still or not train, name="norm")(x), {}


def split(count):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), np.uint8)
    return ImageSet(pixels, np.arange(count, dtype=np.int32) % 2, tuple(map(str, range(count))))


SETS = ImageSets("test", ("cat", "dog"), split(8), split(4), "0" * 64)


def classifier(*, still):
    return Classifier(base=Normed(still=still), head=Head(outputs=1, hidden=0))


def train(module, stage=STAGE, **options):
    variables = options.pop("variables", None) or build.init(module, key=jax.random.key(0), size=4)
    read = inputs.from_images(SETS, augment=None, preprocess=UNIT)
    over = devices.mesh(jax.devices()[:1])
    options = {"seed": 0, "over": over, "progress": False} | options
    ready = Ready(module, variables, read, resumed=options.pop("resumed", None))
    return loop.train_stage(stage, ready, **options)


def test_what_is_held():
    variables = build.init(classifier(still=True), key=jax.random.key(0), size=4)
    base = {f"params/base/norm/{name}" for name in ("scale", "bias")}
    statistics = {f"batch_stats/base/norm/{name}" for name in ("mean", "var")}
    assert set(frozen.held(variables, STAGE)) == base | statistics
    # One leaf of the layer trains: its statistics follow.
    some = (("head/.*", 1.0), ("base/norm/bias", 1.0), ("base/.*", None))
    assert set(frozen.held(variables, replace(STAGE, rules=some))) == {"params/base/norm/scale"}
    # A stage may let them all move.
    assert set(frozen.held(variables, replace(STAGE, statistics="moving"))) == base


def test_statistics_move_where_the_stage_says_so():
    module, stage = classifier(still=False), replace(STAGE, statistics="moving")
    before = build.init(module, key=jax.random.key(0), size=4)
    state, _ = train(module, stage, variables=before)
    for name, leaf in before["batch_stats"]["base"]["norm"].items():
        assert not np.array_equal(state.model_state["batch_stats"]["base"]["norm"][name], leaf)
    with pytest.raises(InputError, match="views must be None where statistics move, found 2"):
        replace(stage, views=2)


def test_statistics_that_move_are_refused_by_name_before_a_step(monkeypatch):
    """A module with normalisation that was not told which layers are frozen."""
    monkeypatch.setattr(
        frozen, "refuse_moved", lambda *args, **options: pytest.fail("a step has run")
    )
    with pytest.raises(
        InputError,
        match="'late': its rules freeze 'batch_stats/base/norm/mean', but its step changes",
    ):
        train(classifier(still=False))


def test_a_transformation_that_moves_frozen_leaves_is_refused_by_name(monkeypatch):
    """Weight decay over all parameters, as optax has it behind a mask of gradients alone."""
    make = loop.step.make_step

    def decayed(**options):
        step = make(**options)

        def broken(state, batch, hyper):
            state, metrics = step(state, batch, hyper)
            return state.replace(params=optax.tree.scale(1 - 1e-6, state.params)), metrics

        return broken

    monkeypatch.setattr(loop.step, "make_step", decayed)
    with pytest.raises(
        InputError, match="its rules freeze 'params/base/norm/bias', but its step changes it"
    ):
        train(classifier(still=True))


def test_bits_are_compared_after_the_first_segment_even_of_a_resumed_state(monkeypatch):
    """A compiler that breaks its word, in the last bit of one leaf;
    what was resumed is what counts as before.
    """
    module, states = classifier(still=True), []
    variables = build.init(module, key=jax.random.key(0), size=4)
    halfway = replace(STAGE, epochs=1)
    moved = {**variables, "params": jax.tree.map(lambda leaf: leaf + 1, variables["params"])}
    train(
        module,
        halfway,
        variables=moved,
        on_epoch=lambda record, state: states.append(jax.device_get(state)),
    )
    train(module, resumed=states[0], variables=variables)  # the caller's variables have other bits
    make_compiled = loop.compiled

    def compile_wrong(*given):
        program = make_compiled(*given)

        def wrong(state, *args):
            state, metrics = program.call(state, *args)
            norm = state.params["base"]["norm"]
            nudged = {**norm, "scale": jnp.nextafter(norm["scale"], 9)}
            return state.replace(params={**state.params, "base": {"norm": nudged}}), metrics

        wrong.memory_analysis = program.call.memory_analysis
        return replace(program, call=wrong)

    monkeypatch.setattr(loop, "compiled", compile_wrong)
    with pytest.raises(
        InputError,
        match="its rules freeze 'params/base/norm/scale', but its first steps have changed",
    ):
        train(module, variables=variables)


@pytest.mark.parametrize(
    ("was", "now", "same"),
    [
        ([1.0, np.nan], [1.0, np.nan], True),
        ([0.0], [-0.0], False),
        ([1.0], [np.nextafter(np.float32(1), 2)], False),
        ([1.0, 2.0], [1.0], False),
    ],
)
def test_same_bits(was, now, same):
    assert frozen.same_bits(np.float64(was), jnp.float32(now)) == same


def test_a_stage_is_traced_once_over_its_epochs():
    traces = []

    class Counted(Normed):
        @nn.compact
        def __call__(self, x, *, train=False, **options):
            traces.append(train)
            return super().__call__(x, train=train)

    module = Classifier(base=Counted(), head=Head(outputs=1, hidden=0))
    variables = build.init(module, key=jax.random.key(0), size=4)
    traces.clear()
    _, history = train(module, replace(STAGE, epochs=4), variables=variables)
    assert len(history.epochs) == 5
    assert sorted(traces) == [False, True]
