"""A run of each task from data to page: the same rungs, sweep, files, report and prediction."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from tljax import config, report, weights
from tljax.climb import ladder
from tljax.commands.climb import photographs
from tljax.data import from_arrays
from tljax.data.preprocess import TORCH
from tljax.errors import InputError
from tljax.models import build, ops
from tljax.runs.predict import fitted_thresholds, load_run
from tljax.runs.workdir import Workdir
from tljax.sweep.sweep import train_seeds
from tljax.tasks import marks
from tljax.tasks.multilabel import MULTILABEL
from tljax.tasks.regression import REGRESSION
from tljax.train import loop, setup
from tljax.train.outcome.trained import refuse_other
from tljax.train.source import Source

SIZE, COUNT = 32, 24
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (COUNT + 24, SIZE, SIZE, 3), np.uint8)
BRIGHT = IMAGES.mean((1, 2)) - 127.5  # [N, 3], of each channel
LABELS = {"multilabel": (BRIGHT > 0).astype(np.uint8), "regression": BRIGHT[:, :2]}
CLASSES = {"multilabel": ("red", "green", "blue"), "regression": ("red", "green")}
TASKS = {"multilabel": MULTILABEL, "regression": REGRESSION}
SHORT = {"epochs": 2, "images_per_epoch": 16, "least_images": 1, "batch_size": 8, "views": 1}


def sets_of(name):
    labels, count = LABELS[name], COUNT
    return from_arrays(
        IMAGES[:count],
        labels[:count],
        CLASSES[name],
        validation=(IMAGES[count:-8], labels[count:-8]),
        test=(IMAGES[-8:], labels[-8:]),
        task=TASKS[name],
    )


@pytest.fixture(scope="module", params=list(TASKS))
def run(request, tmp_path_factory):
    """Two rungs on heads, of two seeds in one program: `(name, sets, source, stages, folder)`."""
    folder = tmp_path_factory.mktemp(request.param)
    network = build.Network("vgg16", {"width": 0.0625}, hidden=4, feature_norm=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        module = build.classifier(network, classes=2)
        import jax

        params = build.init(module, key=jax.random.key(1), size=SIZE)["params"]["base"]
        about = {"name": "vgg16", "width": 0.0625}
        base = weights.Weights(jax.tree.map(np.asarray, params), about, TORCH, (), {})
        presets = config.PRESETS["tuned"]
        stages = {
            rung: (network, replace(presets[rung], **SHORT, augment=None, keep_going=True))
            for rung in ("features", "frozen")
        }
        sets = sets_of(request.param)
        workdir = Workdir(folder / "run")
        workdir.begin(arguments={}, stages=stages, sets=sets)
        source = Source(sets, weights=base, store=workdir.features, progress=False)
        ladder(stages, source, seeds=[0, 1], workdir=workdir)
        photographs.keep(workdir.path, sets)
        report.write_report(workdir.path)
        path = workdir.path
        del workdir  # and with it the lock on its folder
        yield request.param, sets, source, stages, path


def test_the_files_name_the_task_and_its_scores(run):
    name, sets, *_, folder = run
    results = json.loads((folder / "results.json").read_text())
    assert results["task"]["name"] == name
    names = [measure.name for measure in (*sets.task.measures, *sets.task.extras)]
    for row in results["rungs"]:
        for split, count in (("validation", 16), ("test", 8)):
            assert row[split].keys() == {*names, "loss", "n", "intervals"}
            assert row[split]["n"] == count
            low, high = row[split]["intervals"][sets.task.monitor]
            assert low <= row[split][sets.task.monitor] <= high
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert {measure.name for measure in sets.task.measures} < last["validation"].keys()
    assert last["train"].keys() == {"loss", *(measure.name for measure in sets.task.measures)}


def test_the_page_and_the_table_have_its_words(run):
    name, sets, *_, folder = run
    page = re.sub('base64,[^"]*', "", (folder / "report.html").read_text())
    heading = {"multilabel": "Label by label", "regression": "Number by number"}[name]
    for text in (heading, f"Loss and {sets.task.monitor} against epoch", "The highest losses"):
        assert text in page
    for text in ("accuracy", "NaN", "confusion"):
        assert text not in page
    results = report.read_results(folder / "results.json")
    table = report.text_table(results, differences=report.differences(folder))
    assert f"val. {sets.task.monitor}" in table
    assert f"test {sets.task.monitor}" in table
    assert "frozen against features" in table.replace("beats", "against")
    assert "accuracy" not in table


def test_a_loaded_run_says_what_the_logits_say(run):
    name, sets, *_, folder = run
    trained = load_run(folder, rung="features", seed=1)
    assert trained.task == sets.task
    told = trained.predict(sets.validation.images)
    kept = np.load(folder / "predictions" / "features-seed1.npz")["logits"]
    if name == "regression":
        expected = sets.task.predicted(kept)
        assert told.lines()[0] == f"0: red {expected[0, 0]:.4g}, green {expected[0, 1]:.4g}"
    else:
        expected = 1 / (1 + np.exp(-kept.astype(float)))
        given = [
            [c for c, p, t in zip(told.classes, row, told.thresholds, strict=True) if p > t]
            for row in expected
        ]
        assert [sorted(c for c, _ in row) for row in told.given()] == [sorted(x) for x in given]
        labels = [c for c, _ in told.given()[0]]
        assert json.loads(told.json_lines()[0])["labels"] == labels
        (row,) = list(csv.reader(told.csv_lines()[1:2]))
        assert row[:2] == ["0", ";".join(labels)]
        fitted = fitted_thresholds(folder, trained)
        cuts = marks.thresholds(kept, sets.validation.labels)
        np.testing.assert_allclose(fitted, 1 / (1 + np.exp(-cuts.astype(float))), rtol=1e-6)
    np.testing.assert_allclose(trained(sets.validation.images), expected, rtol=1e-3, atol=1e-3)
    labels = ["labels"] if sets.task.name == "multilabel" else []
    assert told.csv_lines()[0] == ",".join(["file", *labels, *sets.classes])
    assert len(told.csv_lines()) == 17
    with pytest.raises(InputError, match=f"serve: expected a classifier, found a run of {name}"):
        refuse_other(trained, "serve")


def test_seeds_together_are_each_what_the_loop_gives(run):
    *_, source, stages, _ = run
    network, stage = stages["features"]
    stage = replace(stage, dropout=0.3)
    readies = {seed: setup.prepare(stage, network, source, seed=seed) for seed in (0, 1)}
    for (state, history), seed in zip(train_seeds(stage, readies), readies, strict=True):
        alone, told = loop.train_stage(stage, readies[seed], seed=seed, progress=False)
        for ours, theirs in zip(history.epochs, told.epochs, strict=True):
            for split in ("train", "validation"):
                assert ours[split] == pytest.approx(theirs[split], rel=1e-3, abs=1e-4, nan_ok=True)
        for path in ("fc1", "predictions"):
            np.testing.assert_allclose(
                state.params["head"][path]["kernel"],
                alone.params["head"][path]["kernel"],
                rtol=1e-3,
                atol=1e-5,
            )


def test_a_run_is_resumed_with_its_task(run):
    _, sets, source, stages, folder = run
    workdir = Workdir(folder, resume=True)
    workdir.begin(arguments={}, stages=stages, sets=sets)
    done = ladder(stages, source, seeds=[0, 1], workdir=workdir)
    restored = done[1]["frozen"]
    assert restored.restored
    saved = json.loads((folder / "results.json").read_text())["rungs"]
    row = next(row for row in saved if (row["name"], row["seed"]) == ("frozen", 1))
    monitor = sets.task.monitor
    assert restored.scores["test"][monitor] == pytest.approx(row["test"][monitor], abs=1e-6)
