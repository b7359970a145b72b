"""A run of two rungs as `Workdir` leaves it, with parameters whose answer is known."""

import json
import math
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from tljax.config import TRAIN_ALL, Stage
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.models import build
from tljax.models.build import Network
from tljax.runs.predict import load_run
from tljax.runs.workdir import Workdir
from tljax.train.loop import History
from tljax.train.rung import Trained
from tljax.train.step import State

SIZE = 16
NETWORK = Network(base="cnn", hidden=0, options={"padding": "SAME"})
PIXELS = np.zeros((2, SIZE, SIZE, 3), np.uint8)
SETS = ImageSets(
    "test",
    ("cat", "dog"),
    *[ImageSet(PIXELS, np.array([0, 1], np.int32), ("a", "b"))] * 2,
    digest="0" * 64,
)


def state(*, bias, averaged=None):
    """Kernels of nothing: the logit is the bias, whatever the picture."""
    params = build.init(build.classifier(NETWORK, classes=2), key=jax.random.key(0), size=SIZE)[
        "params"
    ]
    params = jax.tree.map(np.zeros_like, params)
    params["head"]["predictions"]["bias"] = np.float32([bias])
    ema = {} if averaged is None else {"head/predictions/bias": np.float32([averaged])}
    return State(np.int32(4), params, {}, {}, ema)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = Workdir(tmp_path_factory.mktemp("run"))
    stages = {name: Stage(name, TRAIN_ALL, lr=1.0, epochs=2) for name in ("scratch", "averaged")}
    workdir.begin(
        arguments={}, stages={name: (NETWORK, stage) for name, stage in stages.items()}, sets=SETS
    )
    for name, accuracy, states in (
        ("scratch", 0.9, state(bias=2.0)),
        ("averaged", 0.5, state(bias=9.0, averaged=-1.0)),
    ):
        record = {
            "rung": name,
            "seed": 7,
            "epoch": 2,
            "step": 4,
            "validation": {"loss": 0.1, "accuracy": accuracy, "n": 2},
        }
        record["train"] = record["validation"]
        workdir.log(record)
        about = {
            "data": SETS.digest,
            "classes": SETS.classes,
            "size": SIZE,
            "rung": name,
            "seed": 7,
        }
        trained = Trained(states, History([record]), NETWORK, UNIT, 1, 1, **about)
        workdir.finish(name, trained, seed=7, stage=stages[name], sets=SETS)
    return workdir.path


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(np.full((20, 30, 3), 128, np.uint8)).save(tmp_path / "x.png")
    return tmp_path / "x.png"


def test_the_best_in_validation_classifies(run, photo):
    classifier = load_run(run)
    assert (classifier.rung, classifier.seed, classifier.classes, classifier.size) == (
        "scratch",
        7,
        ("cat", "dog"),
        16,
    )
    likely = 1 / (1 + math.exp(-2))
    found = classifier([photo] * 33)  # more than a batch
    assert found.shape == (33, 2)
    np.testing.assert_allclose(found, [[1 - likely, likely]] * 33, rtol=1e-5)
    assert classifier([]).shape == (0, 2)


def test_averaged_parameters_are_the_result(run, photo):
    likely = 1 / (1 + math.exp(1))
    np.testing.assert_allclose(
        load_run(run, rung="averaged")([photo]), [[1 - likely, likely]], rtol=1e-5
    )


def test_an_accuracy_that_is_not_known_is_not_the_best(run, tmp_path):
    """Nor where it comes first: NaN compares with nothing."""
    copy = shutil.copytree(run, tmp_path / "run")
    results = json.loads((copy / "results.json").read_text())
    assert [row["name"] for row in results["rungs"]] == ["scratch", "averaged"]
    results["rungs"][0]["validation"]["accuracy"] = None
    (copy / "results.json").write_text(json.dumps(results))
    assert load_run(copy).rung == "averaged"
    assert load_run(copy, rung="scratch").rung == "scratch"


def test_history_and_scores_are_those_of_the_run(run):
    loaded = load_run(run)
    assert [record["epoch"] for record in loaded.history.epochs] == [2]
    assert loaded.history.result()["validation"] == loaded.scores["validation"]
    assert loaded.scores == {"validation": {"loss": 0.1, "accuracy": 0.9, "n": 2}}
    assert load_run(run, rung="averaged").scores["validation"]["accuracy"] == 0.5


def test_a_run_that_was_cut_short_is_still_used(run, tmp_path):
    """Half a line is what a killed run leaves; without any line only the last epoch is known."""
    copy = shutil.copytree(run, tmp_path / "run")
    metrics = copy / "metrics.jsonl"
    metrics.write_text(metrics.read_text() + '{"rung": "frozen", "se')
    assert [record["step"] for record in load_run(copy).history.epochs] == [4]
    metrics.unlink()
    assert load_run(copy).history.result()["validation"]["accuracy"] == 0.9
    metrics.write_text("no JSON\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl: line 1: expected a JSON object"):
        load_run(copy)


def test_what_is_not_there_is_named(run, photo, tmp_path):
    with pytest.raises(
        InputError,
        match=r"expected a finished rung frozen, seed 3, found scratch \(seed 7\), averaged",
    ):
        load_run(run, rung="frozen", seed=3)
    with pytest.raises(InputError, match=r"results\.json: expected a readable file"):
        load_run(tmp_path)
    classifier = load_run(run)
    with pytest.raises(
        InputError, match=r"missing\.jpg: expected a readable photograph: No such file"
    ):
        classifier([photo, tmp_path / "missing.jpg"])
    photo.write_bytes(b"not a photograph")
    with pytest.raises(InputError, match=r"x\.png"):
        classifier([photo])
