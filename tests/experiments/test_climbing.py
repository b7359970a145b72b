"""Seeds in one program where that is the faster way, one after another where not: the same results."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments import climbing
from tljax import config, data
from tljax.models import ops
from tljax.models.build import Network
from tljax.optim import rules
from tljax.train.workdir import Workdir
from tljax.weights import load

SHORT = {"epochs": 2, "images_per_epoch": 6, "batch_size": 3, "views": 2}
STAGES = {
    name: (Network(width=0.0625), replace(config.PRESETS["tuned"][name], **SHORT)) for name in ("frozen", "finetune")
}


@pytest.fixture(scope="module")
def climbed(photographs, base, in_a_hurry, tmp_path_factory):
    """Two seeds together, and one alone: `(workdir, what climb returned)` of both, and what was printed."""
    folder, lines = tmp_path_factory.mktemp("climbing"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(ops, "compiler_options", in_a_hurry)
        patch.setattr(climbing, "_say", lines.append)
        sets, weights = data.load(photographs, size=32, progress=False), load(base)
        runs = []
        for name, seeds in (("both", (3, 4)), ("one", (4,))):
            workdir = Workdir(folder / name)
            workdir.begin(arguments={}, stages=STAGES, sets=sets)
            options = {"weights": weights, "seeds": seeds}
            programs = climbing.compile_ahead(STAGES, sets, dtype="float32", **options)
            assert list(programs) == (["finetune"] if name == "both" else ["frozen", "finetune"])
            done = climbing.climb(STAGES, sets, workdir=workdir, programs=programs, progress=False, **options)
            runs.append((workdir.path, done))
    return *runs, lines


def test_it_is_said_which_seeds_train_together(climbed):
    *_, lines = climbed
    told = [line for line in lines if not line.startswith("stage ")]
    assert told[0].startswith("frozen: 2 members in 1 call")
    assert told[1] == (
        "finetune: 2 seeds one after another: base/block5_conv1/kernel trains: convolutions with a kernel for each "
        "seed are slow"
    )
    assert len(told) == 2


def test_a_seed_is_what_it_is_alone(climbed):
    (_, both), (_, one), _ = climbed
    for name in STAGES:
        alone = rules.flatten(one[4][name].state.params)
        for path, leaf in rules.flatten(both[4][name].state.params).items():
            np.testing.assert_allclose(leaf, alone[path], atol=1e-5, err_msg=f"{name} {path}")
        other = rules.flatten(both[3][name].state.params)["head/fc1/kernel"]
        assert np.abs(np.asarray(other) - np.asarray(alone["head/fc1/kernel"])).max() > 1e-2


def test_every_seed_is_in_all_documents(climbed):
    (path, _), *_ = climbed
    wanted = [(name, seed) for name in STAGES for seed in (3, 4)]
    results = json.loads((path / "results.json").read_text())
    assert [(rung["name"], rung["seed"]) for rung in results["rungs"]] == wanted
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["rung"], line["seed"], line["epoch"]) for line in lines] == [(*w, e) for w in wanted for e in (1, 2)]
    for folder in ("checkpoints", "predictions"):
        found = sorted(entry.name.removesuffix(".npz") for entry in (path / folder).iterdir())
        assert found == sorted(f"{name}-seed{seed}" for name, seed in wanted)


def test_what_has_begun_goes_on_one_seed_at_a_time(climbed, photographs, base, in_a_hurry, monkeypatch):
    """A finished rung is taken as it is, and said why."""
    (path, both), *_ = climbed
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
    lines = []
    monkeypatch.setattr(climbing, "_say", lines.append)
    monkeypatch.setenv("XDG_CACHE_HOME", str(path.parent / "cache"))
    sets, stages = data.load(photographs, size=32, progress=False), {"frozen": STAGES["frozen"]}
    workdir = Workdir(path, resume=True, anyway=True)
    workdir.begin(arguments={}, stages=STAGES, sets=sets)
    done = climbing.climb(stages, sets, seeds=(3, 4), weights=load(base), workdir=workdir, progress=False)
    assert lines == ["frozen: 2 seeds one after another: some have begun before"]
    assert all(done[seed]["frozen"].restored for seed in (3, 4))
    for name, leaf in rules.flatten(both[3]["frozen"].state.params).items():
        np.testing.assert_array_equal(rules.flatten(done[3]["frozen"].state.params)[name], leaf)
