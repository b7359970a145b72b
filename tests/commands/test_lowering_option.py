"""--lowering: what was measured is in the run's configuration, and a resumed run keeps to it."""

import gc
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tljax import config
from tljax.commands import options, runner, running
from tljax.commands.climb import settle
from tljax.commands.climb.rung import named
from tljax.files import orbax_store
from tljax.machine import convolutions, lowering
from tljax.models import ops
from tljax.models.architecture import images_of
from tljax.models.build import Network
from tljax.models.winograd import Shape
from tljax.tasks.classification import CLASSIFICATION

WON = Shape(32, 32, 4, 4, 1)  # of block1_conv2
WORDS = {
    "default": "",
    "direct": "--lowering direct",
    "same bits": "--deterministic",
    "half": "--dtype bfloat16",
}
SHORT = {"epochs": 2, "images_per_epoch": 6, "batch_size": 3, "views": None}


class Stops:
    """A listener that stops the run after its first epoch, once."""

    stops = True

    def __init__(self, workdir):
        pass

    def __call__(self, record):
        if record["epoch"] == 1 and Stops.stops:
            Stops.stops = False
            raise KeyboardInterrupt

    def close(self):
        pass


@pytest.fixture
def climb(photographs, base, in_a_hurry, tmp_path, monkeypatch):
    """Train one short rung in a folder: `climb(name, race, *more words)`; returns its last state.

    Small convolutions count as large, and the eight devices as one.
    """
    stage = replace(config.PRESETS["tuned"]["frozen"], **SHORT)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    short = {**config.PRESETS["tuned"], "frozen": stage}
    monkeypatch.setitem(config.PRESETS, "tuned", short)
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
    monkeypatch.setattr(convolutions, "LEAST", 2e5)
    monkeypatch.setattr(lowering.jax, "device_count", lambda: 1)
    monkeypatch.setitem(running.TRACKERS, "told", Stops)

    def run(name, race, *words):
        monkeypatch.setattr(lowering, "raced", race)
        command = f"frozen --data {photographs} --size 32 --weights {base} --quiet"
        more = ["--workdir", str(tmp_path / name), "--keep-going", *words]
        monkeypatch.setattr(sys, "argv", [*command.split(), *more])
        rungs = {"frozen": named(config.RUNGS)["frozen"]}
        runner.main("A rung.", experiment="frozen", rungs=rungs)
        gc.collect()  # the lock of its folder goes with it
        folder = tmp_path / name / "checkpoints" / "frozen-seed0"
        params = orbax_store.restore_variables(folder, 4)[0]["params"]
        told = json.loads((tmp_path / name / "config.json").read_text())
        return params["head"]["fc1"]["kernel"], told["by_winograd"]

    return run


@pytest.mark.slow
def test_a_resumed_run_keeps_to_what_was_measured_when_it_began(climb):
    def faster(shape):
        return ((2.0, 2.0), (1.0, 1.0)) if shape == WON else slower(shape)

    def slower(shape):
        return (1.0, 1.0), (2.0, 2.0)

    straight, shapes = climb("straight", faster)
    assert shapes == [list(WON)]
    with pytest.raises(KeyboardInterrupt):
        climb("stopped", faster, "--log", "told")
    gc.collect()
    lowering.kept_in().unlink()  # as if on a machine where the other way wins
    resumed, kept = climb("stopped", slower, "--log", "told", "--resume")
    assert kept == shapes
    np.testing.assert_array_equal(resumed, straight)
    other, none = climb("other", slower)
    assert none == []
    assert not np.array_equal(other, straight)  # rounded otherwise: it was computed that way
    np.testing.assert_allclose(other, straight, atol=1e-3)


def lowered(args, *, resumed=False):
    workdir = SimpleNamespace(resumed=resumed, by_winograd=lambda: {WON})
    sets = SimpleNamespace(spec=images_of(32), task=CLASSIFICATION)
    return settle.lowered(args, workdir, [Network(options={"width": 0.0625})], sets)


def test_the_option_and_the_run_that_is_resumed_decide(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(convolutions, "LEAST", 2e5)
    monkeypatch.setattr(lowering.jax, "device_count", lambda: 1)
    monkeypatch.setattr(lowering, "raced", lambda shape: ((2.0, 2.0), (1.0, 1.0)))
    parser = options.parser("A command.", experiment="frozen")
    given = {name: parser.parse_args(words.split()) for name, words in WORDS.items()}
    assert WON in lowered(given["default"])
    assert lowered(given["direct"]) == lowered(given["same bits"]) == frozenset()
    assert lowered(given["half"]) == frozenset()
    assert lowered(given["direct"], resumed=True) == {WON}
