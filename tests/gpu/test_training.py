"""A stage on an accelerator: donated, traced once, streamed, resumed and repeated to the bit."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tljax
from tljax.commands.machine.devices import DETERMINISTIC
from tljax.inputs.feed import feed
from tljax.machine import devices
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.sweep.sweep import fits_sweep, train_seeds
from tljax.train import frozen, program
from tljax.tree import flatten

pytestmark = pytest.mark.gpu

SCRIPT = Path(__file__).with_name("small.py")
ROOT = Path(tljax.__file__).parents[1]


@pytest.fixture(scope="module")
def small():
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def digests(tmp_path_factory):
    """The bits of three processes with --deterministic, side by side: two straight, one resumed."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.1",
    }
    running = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), way, str(tmp_path_factory.mktemp(way))],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for way in ("straight", "straight", "resumed")
    ]
    ended = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], ended
    return [out.split()[-1] for out, _ in ended]


def test_deterministic_processes_give_the_same_bits(digests):
    assert digests[0] == digests[1]


def test_a_stage_that_was_stopped_goes_on_to_the_same_bits(digests):
    assert digests[2] == digests[0]


def test_a_stage_learns_what_it_is_shown_and_finite_numbers_come_back(small):
    state, history = small["train"]()
    assert len(history.epochs) == 3
    assert all(np.isfinite(leaf).all() for leaf in jax.device_get(flatten(state.params)).values())
    assert history.step_flops > 1e6
    assert history.temporary_bytes > 0


def test_a_step_takes_the_state_it_was_given(small):
    over = devices.mesh(jax.devices()[:1])
    state, train_step, _ = program.start(small["STAGE"], small["ready"](), over)
    batch = {
        "image": jnp.zeros((16, 48, 48, 3)),
        "label": jnp.zeros(16, jnp.int32),
        "key": jax.random.split(jax.random.key(0), 16),
    }
    hyper = {name: jnp.float32(0.01) for name in ("lr", "dropout", "momentum", "weight_decay")}
    kernel = state.params["head"]["fc1"]["kernel"]
    after, _ = devices.jit_step(train_step, over)(state, batch, hyper)
    jax.block_until_ready(after)
    assert kernel.is_deleted()
    assert after.params["head"]["fc1"]["kernel"].devices() == {jax.devices()[0]}


def test_seeds_at_once_are_what_each_is_alone(small):
    """Convolutions with a kernel for each seed, mapped in one program."""
    stage, readies = small["STAGE"], {0: small["ready"](), 1: small["ready"](seed=1)}
    assert fits_sweep(stage, readies[0]) is None
    with jax.default_matmul_precision("highest"):
        together = train_seeds(stage, readies)
        for (state, history), seed in zip(together, readies, strict=True):
            alone, told = small["train"](readies[seed], seed=seed)
            for found, expected in zip(history.epochs[1:], told.epochs[1:], strict=True):
                assert found["train"]["loss"] == pytest.approx(expected["train"]["loss"], rel=0.02)
            assert apart(state, alone) < 2e-3  # in a step a kernel moves by up to 3e-3
    assert apart(together[0][0], together[1][0]) > 2e-2


def apart(state, other):
    """Return the mean distance of two states' first kernels."""
    kernels = (flatten(each.params)["base/conv1/kernel"] for each in (state, other))
    return np.abs(np.subtract(*map(np.asarray, kernels))).mean()


class Counted(nn.Module):
    """Flat pixels; notes each time it is traced."""

    @nn.compact
    def __call__(self, x, *, train=False, **options):
        TRACES.append(train)
        return x[:, ::4, ::4].reshape(x.shape[0], -1), {}


TRACES = []


def test_a_stage_is_traced_once_and_streaming_changes_nothing(small, monkeypatch):
    module = Classifier(base=Counted(), head=Head(outputs=1, hidden=8, dropout_hidden=True))
    given = small["ready"](module)
    TRACES.clear()
    held, _ = small["train"](given)
    assert sorted(TRACES) == [False, True]
    monkeypatch.setattr("tljax.train.segments.place", lambda array, over: "streamed")
    monkeypatch.setattr("tljax.train.evaluate.place", lambda array, over: "streamed")
    streamed, _ = small["train"](given)
    for path, leaf in flatten(held.params).items():
        np.testing.assert_allclose(leaf, flatten(streamed.params)[path], rtol=0, atol=1e-6)


def test_what_is_streamed_ahead_is_what_was_asked_for():
    images = np.random.default_rng(0).integers(0, 256, (64, 150, 150, 3), np.uint8)
    rows = [np.arange(i, i + 8, dtype=np.int32)[::-1] for i in range(0, 56, 7)]
    over = devices.mesh(jax.devices()[:1])
    for wanted, (pool, numbers) in zip(
        rows, feed(images, rows, over=over, place="streamed"), strict=True
    ):
        assert pool.devices() == {jax.devices()[0]}
        np.testing.assert_array_equal(np.asarray(pool)[numbers], images[wanted])


def test_a_stage_waits_for_its_own_program_alone(small):
    """Compiled in line, in a thread; the first trains to the end, whatever the second does."""
    stage, given = small["STAGE"], small["ready"]()
    programs = program.ahead({"one": (stage, given), "two": (stage, given)})
    before = jax.device_get(given.variables)
    state, history = small["train"](given, program=programs["one"])
    assert history.compile_seconds == programs["one"].seconds > 0
    assert history.step_flops == programs["two"].step_flops
    assert not frozen.same_bits(
        before["params"]["head"]["fc1"]["kernel"], state.params["head"]["fc1"]["kernel"]
    )
