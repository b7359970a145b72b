"""Each command gives the same bits when run twice with a seed, or stopped and resumed.

Stages have two steps.
"""

import importlib
import json
import shutil
import sys
from dataclasses import replace

import pytest

from experiments import batches, multitask, views
from tljax import config
from tljax.commands import recipe, runner
from tljax.commands.climb.rung import named
from tljax.commands.door import COMMANDS
from tljax.config import Plan, pretraining
from tljax.machine import signals
from tljax.models import ops
from tljax.recipe import full_recipe
from tljax.train import program, resume, segments
from tljax.weights import digest, read

LADDER = {
    "scratch": ("scratch",),
    "linear": ("linear",),
    "features": ("features",),
    "frozen": ("frozen",),
    "finetune": ("frozen", "finetune"),
    "differential": ("frozen", "finetune", "differential"),
}
OTHERS = ("pretrain", "recipe", "views", "lr_find", "batches", "multitask", "domain")
DOCUMENTS = {
    "sweep": "runs",
    "cross_validate": "seeds",
    "transferability": "scores",
}  # how these are resumed: test_sweep
FAST = ("scratch",)
TIMES = (
    "seconds",
    "images_per_second",
    "features_seconds",
    "compile_seconds",
    "train_seconds",
    "step_flops",
)
MORE = {
    "pretrain": "--width 0.0625",
    "lr_find": "--steps 4 --rung finetune",
    "multitask": "--source {data} --width 0.0625 --seeds 1 --budget 0.1",
    "domain": "--corrupt brightness pixelate",
    "sweep": "--lr 1e-3 1e-2",
    "cross_validate": "--folds 3",
}
WITHOUT_SEED = ("transferability",)  # nothing is drawn
WITHOUT_BASE = ("scratch", "pretrain", "multitask")


def marked(names):
    return [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in names]


def short(stage, *, epochs=1):
    return replace(
        stage,
        epochs=epochs,
        images_per_epoch=6,
        batch_size=3,
        views=stage.views and (2 if stage.solver == "steps" else 1),
    )


@pytest.fixture
def command(photographs, base, in_a_hurry, tmp_path, monkeypatch):
    """`command(name, folder, *words)` runs it and returns what it left, as digests and numbers."""
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
    for module in (segments, program):
        monkeypatch.setattr(module, "segment_steps", lambda steps: 1)
    monkeypatch.setattr(signals, "_waiting", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(
        config.PRESETS, "tuned", {n: short(s) for n, s in config.PRESETS["tuned"].items()}
    )
    monkeypatch.setattr(pretraining, "IMAGES", short(pretraining.IMAGES, epochs=2))
    plan = Plan("full", tuple(map(short, full_recipe().stages)))
    monkeypatch.setattr(recipe, "plan_of", lambda name, base: plan)
    monkeypatch.setattr(views, "COUNTS", (1, None))
    monkeypatch.setattr(batches, "BATCHES", (2, 3))
    monkeypatch.setattr(multitask, "TARGET_IMAGES", 16)
    monkeypatch.setattr(multitask, "SOURCE_IMAGES", 48)

    def run(name, folder, *words):
        given = ["--data", photographs, "--size", "32", "--quiet", "--workdir", str(folder), *words]
        given += [] if name in WITHOUT_SEED or "--seed" in words else ["--seed", "3"]
        given += MORE.get(name, "").format(data=photographs).split()
        if name not in WITHOUT_BASE:
            given += ["--weights", str(base)]
        monkeypatch.setattr(sys, "argv", [name, *given])
        if name in LADDER:
            runner.main("A rung.", experiment=name, rungs=named(LADDER[name]))
        else:
            room = "tljax.commands" if name in COMMANDS else "experiments"
            importlib.import_module(f"{room}.{name}").main()
        return left(folder, name)

    return run


def left(folder, name):
    if name == "pretrain":
        return digest(read(folder / "base.safetensors").params)
    if name in DOCUMENTS:
        return json.loads((folder / f"{name}.json").read_text())[DOCUMENTS[name]]
    leaves = {
        str(file.relative_to(folder)): json.loads(file.read_text())["leaves"]
        for file in sorted(folder.rglob("checkpoints/*/*/meta/metadata"))
    }
    assert leaves
    rungs, told = [], []
    for file in sorted(folder.rglob("metrics.jsonl")):  # of one run, or of several in folders
        rungs += json.loads((file.parent / "results.json").read_text())["rungs"]
        told += [json.loads(line) for line in file.read_text().splitlines()]
    found = (
        json.loads((folder / "lr_find.json").read_text())["seeds"] if name == "lr_find" else None
    )
    return (
        leaves,
        [{k: v for k, v in record.items() if k not in TIMES} for record in [*rungs, *told]],
        found,
    )


@pytest.mark.parametrize("name", marked((*LADDER, *OTHERS, *DOCUMENTS)))
def test_the_same_seed_gives_the_same_bits(command, tmp_path, name):
    first = command(name, tmp_path / "first")
    assert command(name, tmp_path / "second") == first
    if name not in WITHOUT_SEED:
        assert command(name, tmp_path / "third", "--seed", "4") != first


@pytest.mark.parametrize(
    "name", marked((*(name for name in LADDER if name in config.STEPPED), *OTHERS))
)
def test_stopped_and_resumed_it_gives_the_same_bits(command, tmp_path, monkeypatch, name):
    """At its second segment, in the middle of the first stage; and at its last but one,
    in the last stage.
    """
    calls, stops, after = [], [], resume.Saver.after

    def counted(self, place, *, step, ended):
        calls.append(step)
        if [len(calls)] == stops:
            monkeypatch.setattr(signals, "_waiting", 15)
        after(self, place, step=step, ended=ended)

    monkeypatch.setattr(resume.Saver, "after", counted)
    whole = command(name, tmp_path / "whole")
    segments = len(calls)
    assert segments >= 2
    for stop in dict.fromkeys((1, segments - 1)):
        calls[:], stops[:] = [], [stop]
        shutil.rmtree(tmp_path / "stopped", ignore_errors=True)
        with pytest.raises(signals.Interrupted):
            command(name, tmp_path / "stopped")
        monkeypatch.setattr(signals, "_waiting", None)
        stops.clear()
        assert command(name, tmp_path / "stopped", "--resume") == whole
