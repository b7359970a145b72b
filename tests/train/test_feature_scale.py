"""The head meets features of standard deviation one, measured without labels."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from tljax.config import HEAD_ONLY, Stage
from tljax.data.preprocess import TORCH
from tljax.data.sources import ImageSet, ImageSets
from tljax.models import build
from tljax.models.build import Network
from tljax.train import rung
from tljax.train.feature_scale import feature_scale
from tljax.weights import Weights

NETWORK = Network(width=0.0625, hidden=4)


def split(count, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int32) % 2, tuple(map(str, range(count))))


SETS = ImageSets("test", ("cat", "dog"), split(20, 0), split(4, 1), "0" * 64)


@pytest.fixture(scope="module")
def weights():
    params = build.init(build.classifier(NETWORK, classes=2), key=jax.random.key(0), size=32)["params"]["base"]
    return Weights(jax.device_get(params), {"name": "vgg16", "width": 0.0625}, TORCH, ("a", "b"), {})


def features(weights):
    base = build.classifier(NETWORK, classes=2).base
    return np.asarray(base.apply({"params": weights.params}, weights.preprocess(SETS.train.images))[0], np.float64)


def test_it_is_the_deviation_over_the_training_photographs_in_two_digits(weights):
    assert feature_scale(NETWORK, weights, SETS) == float(f"{features(weights).std():.2g}")


def test_it_grows_with_the_last_layer(weights):
    """Relu and pooling are homogeneous: a last layer 10 times as large has features 10 times as large."""
    last = {name: 10 * leaf for name, leaf in weights.params["block5_conv3"].items()}
    larger = replace(weights, params=weights.params | {"block5_conv3": last})
    assert feature_scale(NETWORK, larger, SETS) == pytest.approx(10 * feature_scale(NETWORK, weights, SETS), rel=1e-6)


@pytest.mark.parametrize("unit", [True, False])
def test_a_stage_that_wants_it_gets_a_head_that_divides(tmp_path, weights, unit):
    stage = Stage("frozen", HEAD_ONLY, lr=1e-3, epochs=1, batch_size=4, unit_features=unit)
    ready = rung.prepare(stage, NETWORK, SETS, seed=0, store=tmp_path / "f.h5", weights=weights)
    assert ready.network.feature_scale == (feature_scale(NETWORK, weights, SETS) if unit else 1.0)
    assert ready.module.head.feature_scale == ready.network.feature_scale
