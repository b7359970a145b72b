"""Seeds run in one program where that is faster and in turn elsewhere, with the same results."""

import gc
import itertools
import json
import math
import threading
from collections import OrderedDict
from dataclasses import replace

import jax
import numpy as np
import pytest

from tljax import climb, config, data
from tljax.commands.climb import climbing
from tljax.machine import in_turn
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.runs.workdir import Workdir
from tljax.train import compiler, program
from tljax.train.compiler import Program
from tljax.train.source import Source
from tljax.tree import flatten
from tljax.weights import load

SHORT = {"epochs": 2, "images_per_epoch": 6, "batch_size": 3, "views": 2, "keep_going": True}
ONE_VIEW = SHORT | {"views": None, "solver": "steps"}
STAGES = {
    name: (Network(options={"width": 0.0625}), replace(config.PRESETS["tuned"][name], **SHORT))
    for name in ("frozen", "finetune")
}


@pytest.fixture(scope="module")
def climbed(photographs, base, in_a_hurry, tmp_path_factory):
    """Two seeds together, and one alone: `(workdir, what climb returned)` of both,
    and what was printed.
    """
    folder, lines = tmp_path_factory.mktemp("climbing"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(ops, "compiler_options", in_a_hurry)
        patch.setattr(climb, "say", lines.append)
        sets, weights = data.load(photographs, size=32, progress=False), load(base)
        runs = []
        for name, seeds in (("both", (3, 4)), ("one", (4,))):
            workdir = Workdir(folder / name)
            workdir.begin(arguments={}, stages=STAGES, sets=sets)
            source = Source(sets, weights, store=workdir.features, progress=False)
            programs, _ = climbing.compile_ahead(STAGES, source, seeds=seeds, workdir=workdir)
            assert list(programs) == (["finetune"] if name == "both" else ["frozen", "finetune"])
            done = climb.ladder(STAGES, source, seeds=seeds, workdir=workdir, programs=programs)
            runs.append((workdir.path, done))
    return *runs, lines


def test_it_is_said_which_seeds_train_together(climbed):
    *_, told = climbed
    assert told[0].startswith("frozen: 2 members in 1 call")
    assert told[1] == (
        "finetune: 2 seeds one after another: base/block5_conv1/kernel trains: "
        "convolutions with a kernel for each seed are slow on CPU"
    )
    assert len(told) == 2


def test_programs_are_compiled_in_the_order_in_which_they_train(
    photographs, base, monkeypatch, tmp_path, capsys
):
    """On an accelerator the first rung has its program while a later one is being compiled."""
    stages = {
        "scratch": (
            Network("cnn", options={"padding": "SAME"}),
            replace(config.PRESETS["tuned"]["scratch"], **ONE_VIEW),
        ),
        **STAGES,
        "features": (STAGES["frozen"][0], replace(config.PRESETS["tuned"]["features"], **ONE_VIEW)),
    }
    later, compiled = threading.Event(), []

    def slow(traced):
        compiled.append(traced.stage.name)
        assert len(compiled) == 1 or later.wait(timeout=30)
        return Program(None, 0.0, traced.step_flops, math.nan)

    monkeypatch.setattr(compiler, "compile", slow)
    sets, weights = data.load(photographs, size=32, progress=False), load(base)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    workdir = Workdir(tmp_path / "run")
    programs, watch = climbing.compile_ahead(
        stages, Source(sets, weights, progress=False), seeds=(0,), workdir=workdir
    )
    first = next(iter(watch.work))
    assert first == "features"
    assert programs[first].step_flops > 0
    assert program.at_hand(programs, "frozen") is None
    later.set()
    assert programs["finetune"].step_flops > 0
    assert compiled == list(watch.work) == ["features", "scratch", "frozen", "finetune"]
    told = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert [word for word in told if word in stages] == list(stages)


def test_a_seed_is_what_it_is_alone(climbed):
    (_, both), (_, one), _ = climbed
    for name in STAGES:
        alone = flatten(one[4][name].state.params)
        for path, leaf in flatten(both[4][name].state.params).items():
            np.testing.assert_allclose(leaf, alone[path], atol=1e-5, err_msg=f"{name} {path}")
        other = flatten(both[3][name].state.params)["head/fc1/kernel"]
        assert np.abs(np.asarray(other) - np.asarray(alone["head/fc1/kernel"])).max() > 1e-2


def test_every_seed_is_in_all_documents(climbed):
    (path, _), *_ = climbed
    wanted = [(name, seed) for name in STAGES for seed in (3, 4)]
    results = json.loads((path / "results.json").read_text())
    assert [(rung["name"], rung["seed"]) for rung in results["rungs"]] == wanted
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["rung"], line["seed"], line["epoch"]) for line in lines] == [
        (*w, e) for w in wanted for e in (0, 1, 2)
    ]
    for folder in ("checkpoints", "predictions"):
        found = sorted(entry.name.removesuffix(".npz") for entry in (path / folder).iterdir())
        assert found == sorted(f"{name}-seed{seed}" for name, seed in wanted)


@pytest.fixture
def again(photographs, base, in_a_hurry, monkeypatch):
    """`again(folder, ...)` climbs the frozen rung with both seeds there;
    what was printed is in `again.lines`.
    """
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)

    def again(folder, **how):
        again.lines = []
        monkeypatch.setattr(climb, "say", again.lines.append)
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "cache"))
        sets, stages = data.load(photographs, size=32, progress=False), {"frozen": STAGES["frozen"]}
        workdir = Workdir(folder, **how)
        workdir.begin(arguments={}, stages=STAGES, sets=sets)
        source = Source(sets, load(base), store=workdir.features, progress=False)
        return climb.ladder(stages, source, seeds=(3, 4), workdir=workdir)

    return again


def assert_same_bits(done, expected):
    for name, leaf in flatten(expected["frozen"].state.params).items():
        np.testing.assert_array_equal(flatten(done["frozen"].state.params)[name], leaf)


def test_what_is_finished_is_taken_as_it_is(climbed, again):
    (path, both), *_ = climbed
    done = again(path, resume=True, anyway=True)
    assert again.lines == []
    for seed in (3, 4):
        assert done[seed]["frozen"].restored
        assert_same_bits(done[seed], both[seed])


@pytest.mark.parametrize("finished", [0, 1])
def test_killed_after_training_together_the_others_are_trained_to_the_same_bits(
    climbed, again, monkeypatch, tmp_path, finished
):
    """Metrics had been told of both seeds, and one or none of them was finished."""
    (path, both), *_ = climbed
    finish, calls = Workdir.finish, []

    def killed(self, *args, **given):
        if len(calls) == finished:
            raise KeyboardInterrupt
        calls.append(args)
        finish(self, *args, **given)

    with monkeypatch.context() as patch:
        patch.setattr(Workdir, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            again(tmp_path / "run")
    gc.collect()  # the lock of the first goes with its workdir
    done = again(tmp_path / "run", resume=True)
    assert again.lines[0].startswith(f"frozen: {2 - finished} members in 1 call")
    for seed in (3, 4):
        assert done[seed]["frozen"].restored == (seed == 3 and finished == 1)
        assert_same_bits(done[seed], both[seed])
    told = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (path, tmp_path / "run")
    ]
    wanted = [record for record in told[0] if record["rung"] == "frozen"]
    assert sorted(map(without_times, told[1])) == sorted(map(without_times, wanted))


def without_times(record):
    return json.dumps(
        {
            name: value
            for name, value in record.items()
            if name not in ("seconds", "images_per_second")
        }
    )


@pytest.fixture
def compilations():
    """Begin, end, function and thread of each compilation of a test."""
    spans = []

    def note(event, start, end, *, fun_name="", **_):
        if event.endswith("backend_compile_duration"):
            spans.append((start, end, fun_name, threading.current_thread().name))

    jax.monitoring.register_event_time_span_listener(note)
    yield spans
    jax.monitoring.unregister_event_time_span_listener(note)


def test_on_an_accelerator_no_two_programs_are_compiled_at_once(
    photographs, base, in_a_hurry, monkeypatch, tmp_path, compilations
):
    """Training ahead, in a thread; first parameters, the frozen base, evaluation and logits.

    Seeds in turn share them all.
    """

    def quick(module, *, key, like):  # as on CPU, where these programs run
        init = jax.jit(module.init, compiler_options=in_a_hurry())
        return init(key, np.zeros(like.shape, like.dtype))

    monkeypatch.setattr(build, "init_like", quick)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
    monkeypatch.setattr(climb, "_fits", lambda *_, **__: False)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    sets, weights = data.load(photographs, size=32, progress=False), load(base)
    monkeypatch.setattr(in_turn, "_kept", OrderedDict())
    compilations.clear()
    ours = []
    for seeds in ((0,), (1, 2)):
        workdir = Workdir(tmp_path / f"run{seeds}")
        workdir.begin(arguments={}, stages=STAGES, sets=sets)
        source = Source(sets, weights, store=workdir.features, progress=False)
        programs, _ = climbing.compile_ahead(STAGES, source, seeds=(0,), workdir=workdir)
        climb.ladder(STAGES, source, seeds=seeds, workdir=workdir, programs=programs)
        ours.append([span for span in compilations if span[2] in ("jit(init)", "jit(program)")])
        compilations.clear()
    first, again = map(sorted, ours)
    assert len({thread for *_, thread in first}) == 2
    assert len(first) >= 8  # two steps, init, two of the base, two evaluations, two of logits
    assert [name for *_, name, _ in again] == ["jit(init)"] * 2  # of each seed
    for (_, end, *_), (start, *_) in itertools.pairwise(first):
        assert end <= start
