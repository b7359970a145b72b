"""What a classifier said is kept: exactly what was evaluated,
for photographs and for cached activations.
"""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.config import HEAD_ONLY, TRAIN_ALL, Stage
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.models import ops
from tljax.models.build import Network
from tljax.runs.workdir import Workdir
from tljax.tasks.classification import CLASSIFICATION
from tljax.train import loop, rung, setup
from tljax.train.source import Source
from tljax.train.step import State

CNN, VGG = (
    Network(base="cnn", hidden=4, options={"padding": "SAME"}),
    Network(hidden=4, options={"width": 0.0625}),
)
STAGE = Stage("tiny", TRAIN_ALL, lr=1e-2, epochs=1, batch_size=4)
CACHED = replace(STAGE, rules=HEAD_ONLY, views=1, ema=0.9)


def split(name, count, classes):
    images = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return ImageSet(
        images,
        np.arange(count, dtype=np.int32) % classes,
        tuple(f"{name}/{i}" for i in range(count)),
    )


def sets(classes, *, test=True):
    parts = split("train", 8, classes), split("validation", 13, classes)
    names = ("cat", "dög", "eel")[:classes]
    return ImageSets("x", names, *parts, "d" * 64, test=split("test", 5, classes) if test else None)


@pytest.fixture(scope="module", autouse=True)
def in_a_hurry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


def finished(path, trained, stage, data):
    workdir = Workdir(path)
    workdir.begin(arguments={}, stages={}, sets=data)
    workdir.finish("tiny", trained, seed=3, stage=stage, sets=data)
    return json.loads((path / "results.json").read_text())


@pytest.mark.parametrize(("classes", "network", "stage"), [(2, CNN, STAGE), (3, VGG, CACHED)])
def test_kept_logits_give_the_accuracy_and_loss_of_the_results(tmp_path, classes, network, stage):
    data = sets(classes)
    source = Source(data, store=tmp_path / "features.h5", progress=False)
    trained = rung.run(stage, setup.prepare(stage, network, source, seed=3), seed=3, progress=False)
    [row] = finished(tmp_path, trained, stage, data)["rungs"]
    names = {"validation": "tiny-seed3.npz", "test": "tiny-seed3.test.npz"}
    for name, file in names.items():
        with np.load(tmp_path / "predictions" / file, allow_pickle=False) as kept:
            assert kept["logits"].shape == (len(kept["labels"]), 1 if classes == 2 else classes)
            assert (kept["logits"].dtype, kept["labels"].dtype) == (np.float32, np.int32)
            assert kept["ids"].tolist() == list(getattr(data, name).ids)
            assert tuple(kept["classes"].tolist()) == data.classes
            assert kept["digest"].item() == data.digest
            found = CLASSIFICATION.judged(kept["logits"], kept["labels"])
        assert found == row[name]
    told = trained.history.result()["validation"]
    assert row["validation"]["accuracy"] == told["accuracy"]
    assert row["validation"] == pytest.approx(told, abs=1e-6)
    assert sorted(path.name for path in (tmp_path / "predictions").iterdir()) == sorted(
        names.values()
    )
    if not stage.ema:
        image = trained.preprocess(data.test.images)
        variables = {"params": jax.device_get(trained.state.params)}
        module = setup.build.classifier(trained.network, classes=classes)
        np.testing.assert_allclose(
            trained.logits["test"], module.apply(variables, image)[0], atol=1e-5
        )


def test_without_a_test_split_nothing_is_said_of_one(tmp_path):
    record = {"epoch": 1, "step": 1, "validation": {"loss": 0.5, "accuracy": 1.0, "n": 13}}
    state = State(jnp.int32(1), {"w": jnp.zeros(1)}, {}, None)
    about = {"classes": ("a", "b"), "size": 8, "rung": "tiny", "seed": 3}
    said = {"validation": np.zeros((13, 1))}
    trained = rung.Trained(state, loop.History([record]), CNN, UNIT, 1, 1, said, **about)
    told = finished(tmp_path, trained, STAGE, sets(2, test=False))
    assert "test" not in told["rungs"][0]
    assert "test_images" not in told["data"]
    assert [path.name for path in (tmp_path / "predictions").iterdir()] == ["tiny-seed3.npz"]


def test_scores_by_hand():
    """sigmoid(0) costs log 2, and is no hit for class 1; logits (log 3,
    0) give class 0 three quarters.
    """
    one = CLASSIFICATION.judged(np.zeros((2, 1), np.float32), np.array([0, 1]))
    assert one == pytest.approx({"accuracy": 0.5, "loss": np.log(2), "n": 2})
    two = CLASSIFICATION.judged(np.log([[3.0, 1.0], [3.0, 1.0]]), np.array([0, 1]))
    assert two == pytest.approx({"accuracy": 0.5, "loss": (np.log(4 / 3) + np.log(4)) / 2, "n": 2})
