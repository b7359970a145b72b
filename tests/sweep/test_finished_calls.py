"""A sweep that was stopped trains what is missing, to the same bits;
what is kept is of one stage, seed and data.
"""

from dataclasses import replace

import flax.linen as nn
import jax
import numpy as np
import pytest

from tljax.config import TRAIN_ALL, Stage
from tljax.inputs.feed import Examples
from tljax.inputs.images import Inputs
from tljax.machine import devices, signals
from tljax.models import build, ops
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.optim.transform import Optimizer
from tljax.sweep import folds
from tljax.sweep import program as sweep_program
from tljax.sweep.finished_calls import Kept
from tljax.sweep.sweep import sweep
from tljax.train.ready import Ready


class Flat(nn.Module):
    """A base without parameters."""

    @nn.compact
    def __call__(self, x, *, train=False, **options):
        return x.reshape(x.shape[0], -1), {}


MODULE = Classifier(base=Flat(), head=Head(outputs=1, hidden=4))
STAGE = Stage(
    "tiny", TRAIN_ALL, lr=0.5, epochs=2, optimizer=Optimizer("adam"), batch_size=4, dropout=0.5
)
RNG = np.random.default_rng(0)
EXAMPLES = Examples(
    RNG.normal(size=(22, 2, 2, 3)).astype(np.float32), RNG.integers(0, 2, 22).astype(np.int32)
)
INPUTS = Inputs(EXAMPLES, EXAMPLES, augmented=lambda x, keys, strength: x, plain=lambda x: x)
STARTS = {seed: build.init(MODULE, key=jax.random.key(seed), size=2) for seed in range(6)}
GIVEN = {
    "ready": lambda seed: Ready(MODULE, STARTS[seed], INPUTS),
    "over": devices.mesh(jax.devices()[:1]),
}
CALLS = {"grid": {"lr": [0.1, 0.5]}, "most": 4}  # of five seeds: calls of 4, 4 and 2


@pytest.fixture(autouse=True)
def compiled_in_a_hurry(monkeypatch):
    monkeypatch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})


def kept(folder, **about):
    return Kept(folder, about={"data": "a", **about})


def trained(folder, *, seeds=range(5), stage=STAGE, **options):
    """`(runs, what was told)`"""
    told = []
    given = {**GIVEN, **CALLS, "seeds": seeds, "tell": told.append, **options}
    return sweep(stage, kept=folder and kept(folder), **given).runs, told


def assert_same_bits(runs, expected):
    for run, other in zip(runs, expected, strict=True):
        assert (run.seed, run.values, run.finite) == (other.seed, other.values, other.finite)
        np.testing.assert_array_equal(run.logits, other.logits)
        for record, wanted in zip(run.history.epochs, other.history.epochs, strict=True):
            for name in (
                "rung",
                "seed",
                "epoch",
                "step",
                "train",
                "validation",
                "rates",
                "grad_norm",
            ):
                np.testing.assert_equal(record.get(name), wanted.get(name))


@pytest.fixture
def stopped(monkeypatch):
    """`stopped(calls)`: a signal comes during that call."""

    def stopped(calls):
        write, done = Kept.write, []

        def counted(self, found):
            write(self, found)
            done.append(found)
            if len(done) == calls:
                monkeypatch.setattr(signals, "_waiting", 15)

        monkeypatch.setattr(signals, "_waiting", None)
        monkeypatch.setattr(Kept, "write", counted)

    return stopped


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "vmap"])
@pytest.mark.parametrize("calls", [1, 2])
def test_stopped_and_resumed_it_gives_the_same_bits(tmp_path, monkeypatch, stopped, calls, at_once):
    if at_once:  # as on an accelerator
        monkeypatch.setattr(
            sweep_program, "one_by_one", lambda program, axes: jax.vmap(program, in_axes=(0, axes))
        )
    whole, told = trained(None)
    assert "10 members in 3 calls of 4" in told[0]
    assert whole[0].state is not None
    stopped(calls)
    with pytest.raises(signals.Interrupted):
        trained(tmp_path)
    stopped(0)
    runs, told = trained(tmp_path)
    assert told[0].startswith(f"tiny: {10 - 4 * calls} members in {3 - calls} call")
    assert told[-1] == ("tiny: 10 of 10 members trained" if calls == 1 else told[0])
    assert_same_bits(runs, whole)
    assert runs[0].state is None
    again, told = trained(tmp_path)
    assert told == []
    assert_same_bits(again, whole)


def test_a_seed_more_trains_alone(tmp_path):
    trained(tmp_path)
    runs, told = trained(tmp_path, seeds=range(6))
    assert told[0].startswith("tiny: 2 members in 1 call")
    assert_same_bits([run for run in runs if run.seed == 5], trained(None, seeds=[5])[0])


@pytest.mark.parametrize(
    ("other", "options"),
    [
        ({"data": "b"}, {}),
        ({}, {"stage": replace(STAGE, epochs=1)}),
        ({}, {"grid": {"lr": [0.2, 0.3]}}),
    ],
    ids=["data", "stage", "values"],
)
def test_what_is_kept_is_of_no_other_stage_data_or_value(tmp_path, other, options):
    trained(tmp_path, seeds=[0])
    given = {**GIVEN, **CALLS, "stage": STAGE, "seeds": [0], **options}
    told = []
    sweep(kept=kept(tmp_path, **other), tell=told.append, **given)
    assert "2 members in 1 call" in told[0]


def test_folds_are_kept_by_what_they_hold_out(tmp_path, stopped):
    def judged(store, **options):
        given = {**GIVEN, "k": 5, "seeds": [0, 1], "most": 4}
        return folds.cross_validate(STAGE, kept=store and kept(store), **given, **options).logits

    whole = judged(None)
    stopped(2)
    with pytest.raises(signals.Interrupted):
        judged(tmp_path)
    stopped(0)
    told = []
    np.testing.assert_array_equal(judged(tmp_path, tell=told.append), whole)
    assert told[0].startswith("tiny: 2 members")


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "no archive"])
def test_a_damaged_file_is_named_and_its_members_are_trained_again(tmp_path, capsys, damage):
    whole, _ = trained(tmp_path)
    path = sorted(tmp_path.glob("*.npz"))[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 16
    path.write_bytes(
        {"flipped": data, "cut": data[: len(data) // 2], "empty": b"", "no archive": b"x" * 500}[
            damage
        ]
    )
    runs, told = trained(tmp_path)
    assert capsys.readouterr().out.startswith(f"{path}: expected an .npz")
    assert "members in 1 call" in told[0]
    assert_same_bits(runs, whole)
