import html
import json
import shutil
import sys
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from tljax import config
from tljax.commands import compare, report, runner, running
from tljax.commands.climb.rung import named
from tljax.data import load, preprocess
from tljax.files import disk, orbax_store
from tljax.models import ops
from tljax.report.pages import photographs as kept_photographs
from tljax.tasks.classification import CLASSIFICATION
from tljax.weights import read

SHORT = {"epochs": 1, "images_per_epoch": 6, "batch_size": 3}


class Told:
    """A listener that keeps all it hears."""

    heard: ClassVar[list] = []

    def __init__(self, workdir):
        assert workdir.name == "ladder"

    def __call__(self, record):
        self.heard.append(record)

    def close(self):
        self.heard.append("closed")


@pytest.fixture(scope="module")
def climbed(photographs, base, in_a_hurry, tmp_path_factory):
    """The workdir of a whole ladder, each rung two steps long."""
    folder = tmp_path_factory.mktemp("run")
    short = {
        name: replace(stage, **SHORT, views=stage.views and (2 if stage.solver == "steps" else 1))
        for name, stage in config.PRESETS["tuned"].items()
    }
    words = (
        f"ladder --data {photographs} --size 32 --weights {base} --seed 5 --quiet --log told "
        "--keep-going"
    )
    words += f" --workdir {folder / 'ladder'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setitem(config.PRESETS, "tuned", short)
        patch.setattr(ops, "compiler_options", in_a_hurry)
        patch.setitem(running.TRACKERS, "told", Told)
        patch.setattr(sys, "argv", words.split())
        runner.main("The ladder.", experiment="ladder", rungs=named(config.RUNGS))
    return folder / "ladder"


def parameters(climbed, rung):
    variables, meta = orbax_store.restore_variables(climbed / "checkpoints" / f"{rung}-seed5", 2)
    return variables["params"], meta


def test_a_ladder_leaves_all_its_files(climbed):
    pictures = [
        *[f"curves_{rung}.png" for rung in config.RUNGS],
        "reliability.png",
        "confusion.png",
        "rates.png",
        "moved.png",
    ]
    kept = ["features.json", "photographs.npz", "schedules.json", "schedules.png"]
    files = [
        "config.json",
        "metrics.jsonl",
        "results.json",
        "ladder.png",
        "report.html",
        *kept,
        *pictures,
    ]
    assert sorted(
        path.name for path in climbed.iterdir() if path.is_file() and path.name[0] != "."
    ) == sorted(files)
    folders = sorted(path.name for path in (climbed / "checkpoints").iterdir())
    assert folders == sorted(f"{rung}-seed5" for rung in config.RUNGS)
    said = sorted(path.name for path in (climbed / "predictions").iterdir())
    assert said == sorted(f"{rung}-seed5.npz" for rung in config.RUNGS)


def test_the_documents_tell_about_each_rung(climbed):
    results = json.loads((climbed / "results.json").read_text())
    assert [(rung["name"], rung["seed"], rung["epochs"]) for rung in results["rungs"]] == [
        (name, 5, 1) for name in config.RUNGS
    ]
    assert all(
        rung["validation"]["n"] == 6 and rung["train_images"] == 12 for rung in results["rungs"]
    )
    lines = [json.loads(line) for line in (climbed / "metrics.jsonl").read_text().splitlines()]
    steps = {name: 1 if name == "linear" else 2 for name in config.RUNGS}
    assert [(line["rung"], line["epoch"], line["step"]) for line in lines] == [
        (name, epoch, epoch * steps[name])
        for name in sorted(config.RUNGS, key=lambda name: name != "features")  # which train first
        for epoch in (0, 1)
    ]
    told = json.loads((climbed / "config.json").read_text())
    assert list(told["plan"]) == list(config.RUNGS)
    assert told["arguments"]["seed"] == 5
    assert "views" in told["arguments"]


def test_rungs_build_on_one_another(climbed, base):
    """Frozen keeps the file's base, fine-tuning starts from there and moves block 5 alone,
    the last rung moves all.
    """
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
    # A step of RMSprop moves a leaf by at most rate / sqrt(0.1), here 6e-3: two fresh heads are 0.1
    # and more apart.
    fresh = np.abs(frozen["head"]["fc1"]["kernel"] - tuned["head"]["fc1"]["kernel"]).max()
    assert 0 < fresh < 2e-2
    assert meta["network"]["options"] == {"width": 0.0625}
    assert meta["classes"] == ["cat", "dog"]


def test_the_base_s_preprocessing_is_named_and_few_photographs_are_said(climbed, base):
    results = json.loads((climbed / "results.json").read_text())
    found, words = results["preprocessing"], preprocess.words(preprocess.TORCH)
    assert found["used"] == preprocess.TORCH.to_dict()
    assert found["told"].startswith(words)
    page = (climbed / "report.html").read_text()
    assert f"Preprocessing of the base: {html.escape(words)}" in page
    assert "Validation accuracy rests on 6 photographs, and so its intervals are wide." in page
    command = page.replace("<span>", "").replace("</span>", "")
    assert f"--size 32 --weights {base} --preset tuned" in command


def test_listeners_hear_what_the_files_have(climbed):
    lines = [json.loads(line) for line in (climbed / "metrics.jsonl").read_text().splitlines()]
    assert json.loads(json.dumps(disk.finite(Told.heard))) == [*lines, "closed"]


def test_the_page_s_photographs_are_the_worst_of_the_best_rung(
    climbed, photographs, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept, results = (
        kept_photographs.read(climbed),
        json.loads((climbed / "results.json").read_text()),
    )
    best = max(results["rungs"], key=lambda row: row["validation"]["accuracy"])
    assert (kept.rung, kept.seed, kept.images) == (best["name"], 5, 6)
    with np.load(climbed / "predictions" / f"{kept.rung}-seed5.npz") as file:
        logits, ids = file["logits"], file["ids"].tolist()
    split = load(photographs, size=32, progress=False).validation
    rows = [ids.index(name) for name in kept.worst_ids]
    assert sorted(rows) == list(range(6))
    losses = [
        CLASSIFICATION.judged(logits[row : row + 1], split.labels[row : row + 1])["loss"]
        for row in rows
    ]
    np.testing.assert_allclose(kept.worst_losses, losses, atol=1e-6)
    assert (np.diff(kept.worst_losses) <= 0).all()
    np.testing.assert_array_equal(kept.worst, split.images[rows])
    np.testing.assert_array_equal(kept.worst_labels, split.labels[rows])
    assert kept.maps.shape[:2] == (6, 2)
    assert (kept.maps >= 0).all()


def test_the_page_is_made_again_from_the_folder(
    climbed, photographs, base, tmp_path, monkeypatch, capsys
):
    """All but the page's own inputs gone: the same page to the byte; and the photographs,
    which are fetched.
    """
    again = tmp_path / "again"
    shutil.copytree(
        climbed, again, ignore=shutil.ignore_patterns("*.png", "*.html", "photographs.npz", "*.h5")
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["report", "--run", str(again), "--quiet"])
    report.main()
    assert capsys.readouterr().out.strip() == str(again / "report.html")
    assert (again / "report.html").read_bytes() == (climbed / "report.html").read_bytes()


def test_runs_are_compared(climbed, tmp_path, monkeypatch, capsys):
    other = tmp_path / "other"
    shutil.copytree(climbed, other, ignore=shutil.ignore_patterns("*.png", "checkpoints", "*.h5"))
    out = tmp_path / "compare.html"
    monkeypatch.setattr(sys, "argv", ["compare", str(climbed), str(other), "--out", str(out)])
    compare.main()
    assert capsys.readouterr().out.strip() == str(out)
    text = out.read_text()
    assert "<h1>Runs compared: ladder, other</h1>" in text
    assert text.count("no difference shown: +0.0 points") == len(config.RUNGS)
    assert "Nothing but the command." in text
