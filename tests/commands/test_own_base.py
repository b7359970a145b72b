"""A base of one's own through the product: a skip connection, batch statistics, a strided cut.

It is the example of docs/howto/base.md, from its file, by the commands that the page shows.
"""

import gc
import json
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from tljax import config
from tljax.commands import inside, predict, pretrain, rungs, sweep
from tljax.errors import InputError
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.models.own import own_base
from tljax.runs.predict import load_net, load_run
from tljax.tree import flatten
from tljax.weights import read

FILE = Path(__file__).parents[2] / "docs" / "howto" / "tiny_resnet.py"
SIZE, RUNGS = 32, ("linear", "features", "frozen", "finetune", "differential")


def call(patch, main, words):
    patch.setattr(sys, "argv", ["tljax", *map(str, words)])
    main()
    gc.collect()  # a run is locked for as long as its folder object lives


@pytest.fixture(scope="module")
def run(photographs, in_a_hurry, tmp_path_factory):
    """Pretrained from nothing, then the ladder: (the folder, the weights file)."""
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(ops, "compiler_options", in_a_hurry)
        short = {
            name: stage if stage.solver == "lbfgs" else replace(stage, epochs=1, batch_size=4)
            for name, stage in config.PRESETS["tuned"].items()
        }
        short = {n: replace(s, least_images=1) for n, s in short.items()}
        patch.setitem(config.PRESETS, "tuned", short)
        common = ["--base", FILE, "--data", photographs, "--size", SIZE, "--quiet", "--keep-going"]
        weights = folder / "tiny.safetensors"
        call(patch, pretrain.main, [*common, "--batch", 4, "--epochs", 2, "--out", weights])
        more = [*common, "--weights", weights, "--workdir", folder / "run"]
        call(patch, rungs.ladder, [*more, "--seeds", 2])
        resumed = [*more, "--seeds", 3, "--resume"]
        call(patch, rungs.ladder, resumed)
    return folder / "run", weights


def test_its_weights_have_statistics(run):
    weights = read(run[1])
    module = build.base_of(Network("tiny-resnet"))
    image = np.zeros((1, SIZE, SIZE, 3), np.float32)
    expected = jax.eval_shape(module.init, jax.random.key(0), image)
    assert flatten(weights.statistics).keys() == flatten(expected["batch_stats"]).keys()
    assert all(np.any(leaf) for leaf in flatten(weights.statistics).values())  # they have moved
    assert weights.architecture == {"name": "tiny-resnet"}


def test_the_ladder_trains_by_its_groups_and_finishes(run):
    results = json.loads((run[0] / "results.json").read_text())["rungs"]
    trained = {(row["name"], row["seed"]) for row in results}
    assert trained == {(name, seed) for name in ("scratch", *RUNGS) for seed in range(3)}
    plan = json.loads((run[0] / "config.json").read_text())["plan"]
    rules = {name: [pattern for pattern, _ in plan[name]["stage"]["rules"]] for name in plan}
    assert rules["finetune"] == ["head/.*", "base/second_.*", "base/.*"]
    assert rules["differential"] == [
        "head/.*",
        "base/second_.*",
        "base/first_.*",
        "base/stem_.*",
    ]
    total = {row["total_params"] for row in results if row["name"] == "frozen"}
    assert total == {
        sum(leaf.size for leaf in flatten(load_net(run[0], rung="frozen").params).values())
    }


def test_frozen_statistics_keep_their_bits_and_others_move(run):
    before = flatten(read(run[1]).statistics)
    for rung, moved in (("frozen", ()), ("finetune", ("second_block",))):
        net = load_net(run[0], rung=rung, seed=0)
        after = flatten(net.statistics["batch_stats"]["base"])
        for path, leaf in before.items():
            same = np.array_equal(leaf, np.asarray(after[path]))
            assert same != path.startswith(moved), (rung, path)


def test_a_run_answers_as_it_did(run, photographs):
    """`load_run` gives the logits that the run kept."""
    root = Path(photographs.removeprefix("folder:"))
    for rung in ("frozen", "differential"):
        kept = np.load(run[0] / "predictions" / f"{rung}-seed1.npz")
        classifier = load_run(run[0], rung=rung, seed=1)
        images = [np.asarray(Image.open(root / name)) for name in kept["ids"]]
        logits = np.asarray(classifier.net.run(np.stack(images), classifier.net.params)[0])
        np.testing.assert_allclose(logits.ravel(), kept["logits"].ravel(), atol=1e-4)


@pytest.mark.slow
def test_commands_take_the_run(run, photographs, in_a_hurry, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
    photo = next((Path(photographs.removeprefix("folder:")) / "validation").rglob("*.png"))
    call(monkeypatch, predict.main, ["--base", FILE, "--run", run[0], photo])
    assert photo.name in capsys.readouterr().out
    call(
        monkeypatch, inside.main, ["--base", FILE, "--run", run[0], "--rung", "finetune", "--quiet"]
    )
    assert len(list((run[0] / "inside").rglob("*.png"))) >= 7
    words = ["--base", FILE, "--weights", run[1], "--data", photographs, "--size", SIZE]
    words += ["--rung", "features", "--seeds", 2, "--workdir", tmp_path / "sweep", "--quiet"]
    call(monkeypatch, sweep.main, [*words, "--epochs", 1, "--lr", 1e-3, 1e-2])
    assert (tmp_path / "sweep" / "sweep.json").exists()


def test_files_that_hold_no_base_are_refused(tmp_path):
    for text, message in (
        ("x = 1", "expected one Architecture, found none"),
        ("1 / 0", "ZeroDivisionError"),
        (
            "from tljax.models.vgg import ARCHITECTURE",
            "a base called 'vgg16' exists already",
        ),
    ):
        (tmp_path / "mine.py").write_text(text)
        with pytest.raises(InputError, match=message):
            own_base(tmp_path / "mine.py")
    with pytest.raises(InputError, match="expected a Python file with a base, found none"):
        own_base(tmp_path / "none.py")
