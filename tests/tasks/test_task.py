"""What every task is asked for, and how a new one is found."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.data.augment import Augment, affine, warp
from tljax.data.draws import augment_keys
from tljax.data.preprocess import UNIT
from tljax.data.sets import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.inputs.images import from_images
from tljax.tasks import bootstrap, known
from tljax.tasks.classification import CLASSIFICATION, Classification
from tljax.tasks.multilabel import MULTILABEL
from tljax.tasks.regression import REGRESSION, Regression
from tljax.tasks.task import Measure, sums

RNG = np.random.default_rng(0)
LABELS = {
    "classification": np.arange(12, dtype=np.int32) % 3,
    "multilabel": (RNG.random((12, 3)) < 0.5).astype(np.uint8),
    "regression": RNG.normal(3, 2, (12, 3)).astype(np.float32),
}
TASKS = {task.name: task for task in (CLASSIFICATION, MULTILABEL, REGRESSION)}


@pytest.mark.parametrize("name", list(TASKS))
def test_what_is_kept_gives_the_scores_and_the_loss_of_the_device(name):
    """The figures on the device and in the host's memory are the same ones."""
    labels = LABELS[name]
    task = TASKS[name].fitted(labels)
    logits = RNG.normal(size=(12, task.outputs(3))).astype(np.float32)
    summed = {k: np.asarray(v) for k, v in sums(task, jnp.asarray(logits), labels).items()}
    assert tuple(summed) == task.totals
    judged = task.judged(np.asarray(task.kept(jnp.asarray(logits), labels)), labels)
    scores = task.scores({**summed, "count": 12.0})
    assert list(scores) == [measure.name for measure in task.measures]
    for measure, score in scores.items():
        assert judged[measure] == pytest.approx(score, abs=1e-5)
    losses = task.losses(jnp.asarray(logits), jnp.asarray(labels))
    assert losses.shape == (12,)
    assert judged["loss"] == pytest.approx(float(losses.mean()), rel=1e-5)
    assert judged["n"] == 12


@pytest.mark.parametrize("name", list(TASKS))
def test_masked_examples_are_not_counted(name):
    labels = LABELS[name]
    task = TASKS[name].fitted(labels)
    logits = jnp.asarray(RNG.normal(size=(12, task.outputs(3))), jnp.float32)
    mask = jnp.asarray([1.0] * 7 + [0.0] * 5)
    dirty = logits.at[7:].set(jnp.nan)
    masked, alone = sums(task, dirty, labels, mask), sums(task, logits[:7], labels[:7])
    for figure, value in alone.items():
        np.testing.assert_allclose(masked[figure], value, rtol=1e-6)


@pytest.mark.parametrize("name", list(TASKS))
def test_a_task_is_rebuilt_from_what_a_run_writes_of_it(name):
    task = TASKS[name].fitted(LABELS[name])
    as_read = {key: list(x) if isinstance(x, tuple) else x for key, x in task.to_dict().items()}
    assert known.from_dict(as_read) == task
    assert known.of_results({"task": as_read}) == task


def test_results_of_an_earlier_version_are_of_a_classification():
    assert known.of_results({"rungs": []}) == CLASSIFICATION


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"name": "ranking"}, "found 'ranking'"),
        ({"name": "regression", "mean": [1.0]}, "expected deviation, mean, found mean"),
        ("regression", "expected an object, found 'regression'"),
    ],
)
def test_another_document_is_refused_in_one_line(document, found):
    with pytest.raises(InputError, match=found):
        known.of_results({"task": document})


def test_scores_are_written_as_people_read_them():
    assert Measure("accuracy").shown(0.9712) == "97.1 %"
    assert Measure("accuracy").shown(float("nan")) == "NaN"
    assert REGRESSION.measures[1].shown(7.4441) == "7.444"
    assert Measure("accuracy").number(-0.018, sign=True) == "-1.8"
    assert (REGRESSION.monitor, REGRESSION.higher_is_better) == ("R2", True)


def test_an_interval_by_bootstrap_is_about_that_of_the_normal_approximation():
    right = np.arange(400) % 4 > 0
    logits = np.where(right, 1.0, -1.0)[:, None]
    labels = np.ones(400, np.int32)
    low, high = bootstrap.intervals(CLASSIFICATION, logits, labels)["accuracy"]
    half = 1.96 * (0.75 * 0.25 / 400) ** 0.5
    assert (low, high) == (
        pytest.approx(0.75 - half, abs=0.006),
        pytest.approx(0.75 + half, abs=0.006),
    )
    assert bootstrap.intervals(CLASSIFICATION, logits, labels)["accuracy"] == [low, high]


@dataclass(frozen=True)
class Dense(Classification):
    """A class for each pixel: labels `[N, H, W]`."""

    dense: ClassVar[bool] = True

    def checked(self, where, labels, *, count):
        assert len(labels) == count, where
        return labels

    def check(self, where, labels, *, classes):
        assert labels.max() < classes, where

    def counts(self, labels, *, classes):
        return None

    def warped(self, label, A, b):
        return warp(label[..., None], A, b)[..., 0]


def test_dense_labels_are_warped_with_their_images_by_the_same_maps():
    images = RNG.integers(0, 256, (4, 9, 9, 3), np.uint8)
    masks = images[..., 0]  # a label that is its image, so that both show the same warp
    part = ImageSet(images, masks, tuple("abcd"), Dense())
    sets = ImageSets("masks", tuple(map(str, range(256))), part, part, "0" * 64)
    keys = augment_keys(np.zeros(4, np.int32), np.arange(4))
    read = from_images(sets, augment=Augment(), preprocess=UNIT)
    image, label = (
        jax.jit(read.augmented)(images, keys),
        jax.jit(read.relabelled)(masks, keys),
    )
    np.testing.assert_allclose(label / 255, image[..., 0], atol=1e-5)
    moved = np.abs(np.asarray(label) - masks).max()
    assert moved > 10
    A, b = affine(keys, height=9, width=9, ranges=Augment())
    np.testing.assert_allclose(label, warp(masks[..., None], A, b)[..., 0], atol=1e-3)
    plain = from_images(sets, augment=None, preprocess=UNIT)
    np.testing.assert_array_equal(plain.relabelled(masks, keys), masks)


def test_splits_of_two_tasks_are_refused():
    images = RNG.integers(0, 256, (4, 8, 8, 3), np.uint8)
    train = ImageSet(images, np.arange(4), tuple("abcd"))
    held = ImageSet(images, np.arange(4.0), tuple("abcd"), Regression())
    with pytest.raises(InputError, match="expected the task of train, classification, found regr"):
        ImageSets("both", ("a", "b", "c", "d"), train, held, "0" * 64)
