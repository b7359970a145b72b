"""Views of a prefix that a dense head reads in several places: the same training as fresh ones."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.config import HEAD_ONLY, Stage, rules_of
from tljax.data.augment import Augment
from tljax.data.draws import augment_keys
from tljax.data.preprocess import TORCH
from tljax.data.sets import ImageSet, ImageSets
from tljax.inputs import views
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.models.classifiers import Kept
from tljax.optim.transform import Optimizer
from tljax.tasks.segmentation import SEGMENTATION
from tljax.train import rung, segments, setup
from tljax.train.source import Source
from tljax.tree import flatten
from tljax.weights import Weights

NETWORK = Network(hidden=16, options={"width": 0.0625}, feature_norm=True)
STAGE = Stage(
    "s",
    HEAD_ONLY,
    lr=1e-3,
    epochs=2,
    batch_size=3,
    augment=Augment(),
    optimizer=Optimizer("adam"),
    keep_going=True,
)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})


def split(count, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (count, 8, 12), np.uint8).repeat(4, 1).repeat(4, 2)
    colours = np.array([[250, 10, 10], [10, 250, 10], [10, 10, 250]], np.uint8)
    noise = rng.integers(0, 6, (*labels.shape, 3), np.uint8)
    return ImageSet(colours[labels] - noise, labels, tuple(map(str, range(count))), SEGMENTATION)


SETS = ImageSets("test", ("a", "b", "c"), split(6, 0), split(3, 1), "0" * 64)


@pytest.fixture(scope="module")
def weights():
    module = build.classifier(NETWORK, task=SEGMENTATION, classes=3)
    variables = build.init_like(module, key=jax.random.key(5), like=SETS.spec)
    params = jax.device_get(variables["params"]["base"])
    return Weights(params, {"name": "vgg16", "width": 0.0625}, TORCH, ("a", "b"), {})


@pytest.mark.slow
@pytest.mark.parametrize("rules", [HEAD_ONLY, rules_of("finetune")], ids=["frozen", "finetune"])
def test_views_train_as_fresh_augmentation_does(weights, rules, tmp_path):
    """As many views as passes: the same photographs, masks and layers, only computed once."""
    source = Source(SETS, weights, store=tmp_path, progress=False)
    trained = {}
    for number in (2, None):
        stage = replace(STAGE, rules=rules, views=number)
        ready = setup.prepare(stage, NETWORK, source, seed=1)
        trained[number] = rung.run(stage, ready, seed=1, progress=False)
    cached, fresh = (flatten(trained[number].state.params) for number in (2, None))
    for path, leaf in fresh.items():
        np.testing.assert_allclose(cached[path], leaf, rtol=2e-3, atol=2e-5, err_msg=path)
    assert trained[2].scores["validation"] == pytest.approx(
        trained[None].scores["validation"], abs=1e-3
    )
    before = weights.params["block5_conv1"]["kernel"]
    moved = not np.array_equal(fresh["base/block5_conv1/kernel"], before)
    assert moved == (rules != HEAD_ONLY)


def test_a_row_holds_every_layer_that_the_head_reads(weights, tmp_path):
    source = Source(SETS, weights, store=tmp_path, progress=False)
    stage = replace(STAGE, rules=rules_of("finetune"), views=1)
    ready = setup.prepare(stage, NETWORK, source, seed=1)
    entered = ready.inputs.plain(jnp.asarray(ready.inputs.validation.inputs))
    assert isinstance(entered, Kept)
    assert ready.inputs.start == "block5_conv1"
    assert set(entered.read) == {"block3_conv3", "block4_conv3"}
    images = TORCH(SETS.validation.images)
    base = build.base_variables(ready.variables)
    out, ran = ready.module.base.apply(base, images, stop="block4_pool")
    np.testing.assert_allclose(entered.x, out, rtol=1e-4, atol=1e-4)
    for name, value in entered.read.items():
        np.testing.assert_allclose(value, ran[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_mask_of_a_view_is_warped_as_the_view(weights, tmp_path):
    """Two views: passes 0 and 2 have the same one, and the same mask."""
    source = Source(SETS, weights, store=tmp_path, progress=False)
    stage = replace(STAGE, views=2, epochs=4)
    inputs = setup.outline(stage, NETWORK, source).inputs
    passes, example = np.array([[0, 1, 2, 3]], np.int32), np.zeros((1, 4), np.int32)
    labels = np.broadcast_to(SETS.train.labels[0], (1, 4, 32, 48))
    drawn = {"pass": passes, "example": example, "label": labels}
    keys = segments.with_keys(drawn, jax.random.key(0), inputs, np.ones(1))["augment"][0]
    warped = np.asarray(inputs.relabelled(jnp.asarray(labels[0]), keys))
    np.testing.assert_array_equal(warped[0], warped[2])
    np.testing.assert_array_equal(warped[1], warped[3])
    assert not np.array_equal(warped[0], warped[1])
    own = augment_keys(jnp.array([1]), jnp.array([0]))
    fresh = inputs.relabelled(jnp.asarray(labels[0, :1]), own)
    np.testing.assert_array_equal(warped[1], fresh[0])


def test_auto_counts_the_bytes_of_all_layers(monkeypatch):
    stage = replace(STAGE, views="auto", epochs=8)
    # block5_pool 1x1, block5_conv3 2x3, block4_conv3 4x6 with 32 channels, block3_conv3 8x12 of 16.
    row = 4 * (32 * (1 + 2 * 3 + 4 * 6) + 16 * 8 * 12)
    monkeypatch.setattr(views, "room", lambda: 6 * 3 * row)
    assert views.settled(stage, NETWORK, SETS)[0].views == 3
