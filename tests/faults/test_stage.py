"""A stage disturbed where it saves, computes or reads: one line, the last checkpoint kept,
later the same bits.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.errors import InputError
from tljax.files import orbax_store
from tljax.files.background import Background
from tljax.machine import signals
from tljax.train import loop, segments
from tljax.train.resume import Saver

from . import disks, small_stage
from .small_stage import STAGE, bits, train

NO_ROOM = (
    r"cannot be written: (No space left on device|File too large); "
    r"the checkpoints before it are whole"
)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    small_stage.hurry(monkeypatch.setattr)
    monkeypatch.setattr(signals, "_waiting", None)


@pytest.fixture(scope="module")
def undisturbed():
    with pytest.MonkeyPatch.context() as patch:
        small_stage.hurry(patch.setattr)
        return bits(train()[0])


def steps(folder):
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


class FillsUp(Saver):
    """The disk is full from the save after this step on."""

    def __init__(self, folder, disk, *, step, left):
        super().__init__(folder, seconds=0.0)
        self._disk, self._step, self._left, self.full = disk, step, left, None

    def after(self, place, *, step, ended):
        if step == self._step:
            self._background.wait()
            self.full = self._disk(self._left)
            self.full.__enter__()
        super().after(place, step=step, ended=ended)


@pytest.mark.parametrize(
    ("left", "step"),
    [
        (0, 6),
        pytest.param(8192, 6, marks=pytest.mark.slow),
        pytest.param(65_536, 6, marks=pytest.mark.slow),
        (8192, 16),
    ],
)
def test_the_disk_fills_up_at_a_checkpoint(tmp_path, capfd, undisturbed, step, left):
    """Written beside the training on the way (step 6), and before it is over at its end (16)."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with disks.mounted(folder, kilobytes=8192) as real:
        saver = FillsUp(
            folder / "saves",
            lambda left: disks.full(folder, left=left, mounted=real),
            step=step,
            left=left,
        )
        try:
            with pytest.raises(InputError, match=NO_ROOM) as caught:
                train(saver=saver)
            said = capfd.readouterr()
        finally:
            saver.full.__exit__(None, None, None)
        assert "\n" not in str(caught.value)
        assert said == ("", "")
        assert max(steps(folder / "saves")) < step
        assert orbax_store.latest_step(folder / "saves") == max(steps(folder / "saves"))
        assert bits(train(saver=Saver(folder / "saves"))[0]) == undisturbed


class Until(Saver):
    """Saves after every segment, one after another, up to this step."""

    def __init__(self, folder, *, step):
        super().__init__(folder, seconds=0.0)
        self._step = step

    def after(self, place, *, step, ended):
        if step <= self._step:
            self._background.wait()
            super().after(place, step=step, ended=ended)


@pytest.fixture
def blows_up(monkeypatch):
    """`blows_up(step, rate)`: the rate of this step is that one, until `blows_up(None, None)`."""
    hyperparameters = segments.hyperparameters

    def blows_up(at, rate):
        def changed(stage, steps):
            values = hyperparameters(stage, steps=steps)
            return values | {"lr": lambda step: rate if step == at else values["lr"](step)}

        monkeypatch.setattr(segments, "hyperparameters", changed)

    return blows_up


@pytest.mark.parametrize(
    ("rate", "saved", "message"),
    [
        (
            1e38,
            8,
            r"the loss of step 10 is not finite; lower the rate; "
            r"head/fc1/bias was the first leaf to be so",
        ),
        (
            1e38,
            10,
            r"the loss of step 10 is not finite; lower the rate; "
            r"head/fc1/bias was the first leaf to be so",
        ),
        (np.inf, 10, r"head/fc1/bias is not finite after 10 steps; lower the rate$"),
    ],
)
def test_what_is_not_finite_names_step_and_leaf_and_keeps_the_last_good_checkpoint(
    tmp_path, undisturbed, blows_up, rate, saved, message
):
    """A rate that blows up at step 9, the last of a segment: what it leaves is huge,
    or not finite, and not kept.
    """
    blows_up(9, rate)
    with pytest.raises(InputError, match=f"stage 'tiny': {message}") as caught:
        train(saver=Until(tmp_path, step=saved))
    assert "\n" not in str(caught.value)
    assert max(steps(tmp_path)) == 8
    blows_up(None, None)
    assert bits(train(saver=Saver(tmp_path))[0]) == undisturbed


def test_a_last_step_that_blows_up_is_refused_too(tmp_path, blows_up):
    """Its own loss was finite, and none comes after it."""
    blows_up(15, np.inf)
    for saver in (None, Saver(tmp_path / "saves", seconds=1e9)):
        with pytest.raises(
            InputError,
            match=r"stage 'tiny': head/fc1/bias is not finite after 16 steps; lower the rate$",
        ):
            train(saver=saver)
    assert not (tmp_path / "saves").exists() or steps(tmp_path / "saves") == []


def test_a_photograph_of_nan_is_refused_at_its_step(undisturbed):
    start = small_stage.variables()
    start["params"]["head"]["fc1"]["bias"] = (
        start["params"]["head"]["fc1"]["bias"].at[3].set(jnp.inf)
    )
    with pytest.raises(
        InputError, match="the loss of step 0 is not finite; lower the rate; head/fc1/"
    ):
        train(start=start)


def test_a_device_without_memory_names_the_batch_the_memory_and_a_smaller_batch(monkeypatch):
    """The error that XLA raises for it, here by hand: when a program is compiled,
    and when it runs.
    """
    full = jax.errors.JaxRuntimeError(
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 123 bytes.\nwith a table\nbelow"
    )
    make = loop.make_program

    class Fails:
        def __init__(self, program, *, when):
            self.program, self.when = program, when

        def trace(self, *arguments):
            self.traced = self.program.trace(*arguments)
            self.jaxpr = self.traced.jaxpr
            return self

        def lower(self):
            return self

        out_tree = None

        def as_text(self):
            return f"{id(self)}"

        def compile(self):
            if self.when == "compile":
                raise full
            self.compiled = self.traced.lower().compile()
            return self

        def memory_analysis(self):
            return self.compiled.memory_analysis()

        def cost_analysis(self):
            return {}

        def __call__(self, *arguments):
            raise full

    for when, needed in (("compile", ""), ("call", r": its program takes \d+ MB")):
        monkeypatch.setattr(loop, "make_program", lambda *a, when=when: Fails(make(*a), when=when))
        line = (
            f"stage 'tiny': batch size 4 does not fit into the device's memory{needed}; "
            "try 2 \\(RESOURCE_EXHAUSTED"
        )
        with pytest.raises(InputError, match=line) as caught:
            train()
        assert "\n" not in str(caught.value)


def test_a_second_interrupt_ends_at_once_and_costs_only_what_was_being_saved(tmp_path, undisturbed):
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    environment |= {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def run(words):
        command = [sys.executable, "-m", "tests.faults.small_stage", words, str(tmp_path / "saves")]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=300, cwd=ROOT, env=environment
        )

    done = run("interrupt")
    assert (done.returncode, done.stdout, done.stderr) == (130, "first\n", "")
    assert steps(tmp_path / "saves") == [2]
    again = run("go on")
    assert again.returncode == 0, again.stderr
    assert again.stdout == f"{undisturbed}\n"


def test_nobody_waits_for_the_disk_and_an_error_there_is_not_lost():
    """A write that waits until training has gone on;
    one that fails is told at the next question, once.
    """
    import threading

    gone_on, background = threading.Event(), Background()
    background.start(lambda: gone_on.wait(30) or pytest.fail("nobody went on"))
    assert background.busy()
    background.check()
    gone_on.set()
    background.wait()

    def fails():
        raise InputError("the disk is full")

    background.start(fails)
    with pytest.raises(InputError, match="the disk is full"):
        background.wait()
    background.wait()


def test_what_is_saved_beside_the_training_is_the_state_of_its_step(tmp_path, monkeypatch):
    """Held up until the stage has trained on over the same buffers: still the bits of step 2."""
    import threading

    from tljax.train import resume

    write, trained, expected = resume._write, threading.Event(), []

    def late(directory, step, place, identity):
        if step == 2:
            assert trained.wait(60)
        write(directory, step, place, identity)

    class Watches(Saver):
        def after(self, place, *, step, ended):
            if step == 2:
                expected.extend(bits(jax.tree.map(np.array, place().state)))
            if step == 8:
                trained.set()
            super().after(place, step=step, ended=ended)

    monkeypatch.setattr(resume, "_write", late)
    state, _ = train(
        replace(STAGE, epochs=2, keep_going=True), saver=Watches(tmp_path, seconds=0.0)
    )
    assert steps(tmp_path) == [2, 8]
    found, _ = orbax_store.restore(tmp_path, 2, state)
    assert bits(found) == expected
