"""The program compiled ahead of a stage is the very one that the loop would compile."""

import re
import threading
from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from tljax.audit.forecast import outlook
from tljax.config import TRAIN_ALL, Stage, rules_of
from tljax.data.augment import Augment
from tljax.data.preprocess import TORCH
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.inputs import feed
from tljax.machine import devices
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.optim.transform import Optimizer
from tljax.report.tables.plan import plan_table
from tljax.train import compiler, frozen, loop, program, rung, setup
from tljax.train.source import Source
from tljax.tree import flatten
from tljax.weights import Weights

NETWORK = Network(hidden=4, options={"width": 0.0625})
VIEWS = Stage(
    "late",
    rules_of("finetune"),
    lr=1e-3,
    epochs=2,
    batch_size=4,
    augment=Augment(),
    views=2,
    dropout=0.5,
)
FRESH = replace(VIEWS, name="whole", rules=TRAIN_ALL, views=None, optimizer=Optimizer("adam"))
HALF = replace(VIEWS, name="half", features_dtype="bfloat16")


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})


def split(count, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int32) % 2, tuple(map(str, range(count))))


SETS = ImageSets("test", ("cat", "dog"), split(10, 0), split(4, 1), "0" * 64)
BASE = Weights(
    {}, {"name": "vgg16", "width": 0.0625}, TORCH, ("a", "b"), {}
)  # an outline reads its preprocessing alone


@pytest.fixture(scope="module")
def weights():
    params = build.init(build.classifier(NETWORK, classes=2), key=jax.random.key(5), size=32)[
        "params"
    ]["base"]
    return Weights(
        jax.device_get(params), {"name": "vgg16", "width": 0.0625}, TORCH, ("a", "b"), {}
    )


def outlined(stage):
    return stage, setup.outline(stage, NETWORK, Source(SETS, BASE))


def trained(stage, weights, tmp_path, **options):
    source = Source(SETS, weights, store=tmp_path / "features.h5", progress=False)
    ready = setup.prepare(stage, NETWORK, source, seed=1)
    return rung.run(stage, ready, seed=1, progress=False, **options)


@pytest.mark.parametrize("place", ["replicated", "sharded", "streamed"])
@pytest.mark.parametrize("stage", [VIEWS, FRESH, HALF], ids=lambda stage: stage.name)
def test_what_is_lowered_ahead_is_what_the_loop_lowers(
    stage, place, weights, tmp_path, monkeypatch
):
    """To the letter: persistent cache and compiled calls can be shared."""
    if place != "replicated" and stage is not VIEWS:
        pytest.skip("places differ in the pool alone")
    for module in ("tljax.train.segments", "tljax.inputs.feed"):
        monkeypatch.setattr(f"{module}.place", lambda array, over: place)
    ahead = program.outlined(*outlined(stage)).lowered
    texts = []

    def stop(traced):
        texts.append(traced.lowered.as_text())
        raise KeyboardInterrupt

    monkeypatch.setattr(compiler, "compile", stop)
    with pytest.raises(KeyboardInterrupt):
        trained(stage, weights, tmp_path)
    assert texts == [ahead.as_text()]


def test_a_stage_trains_the_same_bits_with_the_program_compiled_ahead(
    weights, tmp_path, monkeypatch
):
    programs = program.ahead({"late": outlined(VIEWS)})
    alone = trained(VIEWS, weights, tmp_path)
    monkeypatch.setattr(loop, "compiled", lambda *_: pytest.fail("compiled once more"))
    found = trained(VIEWS, weights, tmp_path, program=programs["late"])
    for path, leaf in flatten(alone.state.params).items():
        assert frozen.same_bits(leaf, flatten(found.state.params)[path])
    assert found.history.step_flops == alone.history.step_flops == programs["late"].step_flops
    assert found.history.compile_seconds == programs["late"].seconds


def test_stages_are_told_with_what_the_compiler_knows():
    stages = {stage.name: outlined(stage) for stage in (VIEWS, FRESH)}
    told = []
    programs = program.ahead(stages, tell=lambda name, done: told.append((name, done)))
    assert told == [("late", 1), ("whole", 2)]
    late, whole = outlook(stages, programs)
    assert 0 < late.step_flops < whole.step_flops
    assert 0 < late.temporary < whole.temporary
    assert (
        late.data == 2 * 10 * 2 * 2 * 32 * 4
    )  # views, photographs, 2 x 2 x 32 activations in float32
    assert whole.data == SETS.train.images.nbytes
    assert outlook({"half": outlined(HALF)}, {})[0].data == late.data / 2
    table = plan_table([late, whole])
    assert "from the host" not in table
    assert "unknown" not in table


def test_on_an_accelerator_the_first_stage_trains_while_later_ones_are_compiled(monkeypatch):
    """In order, one at a time, in a thread; nothing waits for what nobody has asked for."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    gates = {name: threading.Event() for name in ("one", "two", "three")}
    begun = {name: threading.Event() for name in gates}
    running, most = [], []

    def outlined(stage, ready):
        if stage != "one":  # the first is being compiled before the second is traced
            assert begun["one"].wait(timeout=30)
        return SimpleNamespace(stage=stage, seconds=10.0, step_flops=7.0)

    monkeypatch.setattr(program, "outlined", outlined)

    def compiled(traced):
        begun[traced.stage].set()
        running.append(traced.stage)
        most.append(len(running))
        assert gates[traced.stage].wait(timeout=30)
        running.remove(traced.stage)
        if traced.stage == "two":
            raise InputError("stage 'two' does not fit")
        return program.Program(None, 5.0, 1.0, 1.0)

    monkeypatch.setattr(compiler, "compile", compiled)
    programs = program.ahead({name: (name, None) for name in gates})
    assert list(programs) == list(gates)
    assert program.at_hand(programs, "one") is None
    assert program.traced_flops(programs, "three") == 7  # compiled not yet
    gates["one"].set()
    # The seconds are those that were waited, after the 10 of tracing; the same when asked again.
    assert 10 <= programs["one"].seconds < 14
    assert programs.get("one") is program.at_hand(programs, "one") is programs["one"]
    assert program.at_hand(programs, "three") is None
    assert programs.get("absent") is program.at_hand(programs, "absent") is None
    gates["two"].set()
    gates["three"].set()
    assert programs["three"].step_flops == 1
    with pytest.raises(InputError, match="stage 'two' does not fit"):
        programs["two"]
    assert most == [1, 1, 1]


def test_what_moves_frozen_leaves_is_refused_before_it_is_compiled(monkeypatch):
    monkeypatch.setattr(
        frozen, "moving", lambda traced, state, rules: ["params/base/block1_conv1/kernel"]
    )
    monkeypatch.setattr(compiler, "compile", lambda *_: pytest.fail("compiled"))
    with pytest.raises(
        InputError, match="freeze 'params/base/block1_conv1/kernel', but its step changes it"
    ):
        program.ahead({"late": outlined(VIEWS)})


def test_the_shape_of_a_pool_is_that_of_what_the_feed_gives():
    inputs, rows = np.zeros((11, 3), np.uint8), np.zeros((2, 4), np.int32)
    over = devices.mesh()
    for place in ("replicated", "sharded", "streamed"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(feed, "place", lambda array, over, place=place: place)
            expected = feed.pool_shape(inputs, rows.size, over=over)
        pool, _ = next(feed.feed(inputs, [rows], over=over, place=place))
        assert (pool.shape, pool.dtype, pool.sharding) == (
            expected.shape,
            expected.dtype,
            expected.sharding,
        )


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="about XLA on CPU")
def test_what_the_compiler_emits_inside_the_scan(monkeypatch):
    """The four convolutions of the network from scratch: forward, by the weights,
    and by the input but for the first.

    All channels last, the only layout that XLA on CPU does not run naively inside a loop; none left
    to YNNPACK; the gradient of the pooling without a windowed scatter.
    """
    monkeypatch.undo()  # the compiler's usual options
    monkeypatch.setattr(devices, "mesh_for", lambda batch_size: devices.mesh(jax.devices()[:1]))
    stage = replace(FRESH, name="scratch")
    ready = setup.outline(
        stage, Network(base="cnn", hidden=8, options={"padding": "SAME"}), Source(SETS)
    )
    text = program.ahead({"scratch": (stage, ready)})["scratch"].call.as_text()
    loops = text.count(" while(")
    convolutions = re.findall(r" convolution\(.*?dim_labels=(\w+->\w+)", text)
    assert loops >= 1
    assert convolutions == ["b01f_01io->b01f"] * (4 + 4 + 3)
    bodies = dict(re.findall(r"^%?([\w.\-]+) [^\n]*\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))
    given_away = re.findall(r"%ynn_fusion[\w.]* = .*?calls=%([\w.\-]+)", text)
    assert given_away, "products stay with YNNPACK"
    assert all(" convolution(" not in bodies[name] for name in given_away)
    assert "select-and-scatter" not in text
