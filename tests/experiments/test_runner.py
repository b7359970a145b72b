import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from experiments import runner
from tljax import config
from tljax.models import ops
from tljax.train import checkpoint
from tljax.weights import read

SHORT = {"epochs": 1, "images_per_epoch": 6, "batch_size": 3}


@pytest.fixture(scope="module")
def climbed(photographs, base, in_a_hurry, tmp_path_factory):
    """The workdir of a whole ladder, each rung two steps long, and what was printed."""
    folder = tmp_path_factory.mktemp("run")
    short = {
        name: replace(stage, **SHORT, views=2 if stage.views else None)
        for name, stage in config.PRESETS["tuned"].items()
    }
    words = f"ladder --data {photographs} --size 32 --weights {base} --seed 5 --quiet --workdir {folder / 'ladder'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setitem(config.PRESETS, "tuned", short)
        patch.setattr(ops, "compiler_options", in_a_hurry)
        patch.setattr(sys, "argv", words.split())
        runner.main("The ladder.", experiment="ladder", rungs=config.RUNGS)
    return folder / "ladder"


def parameters(climbed, rung):
    return checkpoint.restore_params(climbed / "checkpoints" / f"{rung}-seed5", 2)


def test_a_ladder_leaves_all_its_files(climbed):
    pictures = [*[f"curves_{rung}.png" for rung in config.RUNGS], "reliability.png", "confusion.png"]
    files = ["config.json", "metrics.jsonl", "results.json", "features.h5", "ladder.png", "report.html", *pictures]
    assert sorted(path.name for path in climbed.iterdir() if path.is_file() and path.name[0] != ".") == sorted(files)
    folders = sorted(path.name for path in (climbed / "checkpoints").iterdir())
    assert folders == sorted(f"{rung}-seed5" for rung in config.RUNGS)
    said = sorted(path.name for path in (climbed / "predictions").iterdir())
    assert said == sorted(f"{rung}-seed5.npz" for rung in config.RUNGS)


def test_the_documents_tell_about_each_rung(climbed):
    results = json.loads((climbed / "results.json").read_text())
    assert [(rung["name"], rung["seed"], rung["epochs"]) for rung in results["rungs"]] == [
        (name, 5, 1) for name in config.RUNGS
    ]
    assert all(rung["validation"]["n"] == 6 and rung["train_images"] == 12 for rung in results["rungs"])
    lines = [json.loads(line) for line in (climbed / "metrics.jsonl").read_text().splitlines()]
    assert [(line["rung"], line["epoch"], line["step"]) for line in lines] == [(name, 1, 2) for name in config.RUNGS]
    told = json.loads((climbed / "config.json").read_text())
    assert list(told["plan"]) == list(config.RUNGS)
    assert told["arguments"]["seed"] == 5
    assert "views" in told["arguments"]


def test_rungs_build_on_one_another(climbed, base):
    """Frozen keeps the file's base, fine-tuning starts from there and moves block 5 alone, the last rung moves all."""
    given = read(base).params
    frozen, _ = parameters(climbed, "frozen")
    tuned, meta = parameters(climbed, "finetune")
    last, _ = parameters(climbed, "differential")
    for layer, leaves in given.items():
        for name, leaf in leaves.items():
            np.testing.assert_array_equal(frozen["base"][layer][name], leaf)
            moved = not np.array_equal(tuned["base"][layer][name], leaf)
            assert moved == layer.startswith("block5")
        assert not np.array_equal(last["base"][layer]["kernel"], tuned["base"][layer]["kernel"])
    # A step of RMSprop moves a leaf by at most rate / sqrt(0.1), here 6e-3: two fresh heads are 0.1 and more apart.
    fresh = np.abs(frozen["head"]["fc1"]["kernel"] - tuned["head"]["fc1"]["kernel"]).max()
    assert 0 < fresh < 2e-2
    assert meta["network"]["width"] == 0.0625
    assert meta["classes"] == ["cat", "dog"]
