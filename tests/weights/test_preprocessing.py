"""Whether a preprocessing suits a base: one made by hand, and the published one where available."""

import dataclasses

import numpy as np
import pytest

from tljax.data import photos
from tljax.data.preprocess import BY_NAME, CAFFE, TORCH, UNIT, Preprocess
from tljax.models.vgg import CONVS, channels
from tljax.weights import Weights, check_preprocess, load
from tljax.weights.preprocessing import differences, ordinary, published

SWAPPED = Preprocess(mean=(123.68, 116.779, 103.939))


def made_for(weights: Weights, preprocess: Preprocess) -> Weights:
    """The network that does with `preprocess` what these weights, made for pixels in BGR,
    do with their own.

    But for the mean, where the two have others: ImageNet's agree to half a pixel.
    """
    first = weights.params["block1_conv1"]
    kernel = first["kernel"] if preprocess.channels == "BGR" else first["kernel"][:, :, ::-1]
    kernel = (kernel * (np.array(preprocess.std)[:, None] / preprocess.scale)).astype(np.float32)
    params = weights.params | {"block1_conv1": {"kernel": kernel, "bias": first["bias"]}}
    return dataclasses.replace(weights, params=params, preprocess=preprocess)


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    """Eight pictures of squares in many colours."""
    squares = np.random.default_rng(1).integers(0, 256, (8, 4, 4, 3))
    return squares.repeat(8, 1).repeat(8, 2).astype(np.uint8)


@pytest.fixture(scope="module")
def synthetic() -> Weights:
    """A random base for pixels in BGR whose biases let through what is bright enough,
    as training would have it.
    """
    rng, before, params = np.random.default_rng(0), 3, {}
    for layer in CONVS:
        after = channels(layer, 1 / 16)
        kernel = rng.normal(0, np.sqrt(2 / (9 * before)), (3, 3, before, after))
        params[layer] = {
            "kernel": kernel.astype(np.float32),
            "bias": rng.normal(-6, 6, after).astype(np.float32),
        }
        before = after
    return Weights(params, {"name": "vgg16", "width": 1 / 16}, CAFFE, (), {})


@pytest.mark.parametrize("right", [CAFFE, TORCH])
@pytest.mark.parametrize("used", list(BY_NAME.values()), ids=list(BY_NAME))
def test_the_wrong_order_of_size_is_noticed_and_the_right_one_is_not(synthetic, drawn, used, right):
    weights = dataclasses.replace(made_for(synthetic, right), preprocess=used)
    found = check_preprocess(weights, drawn)
    assert (found.used, found.photographs, found.published) == (used, 8, None)
    if used is right:
        assert found.alarm == ""
    elif right is CAFFE:
        assert "look made for inputs like BGR, ImageNet mean" in found.alarm
        assert "hardly differ" in found.alarm
    elif used is CAFFE:
        assert "look made for inputs like RGB / 255, ImageNet mean" in found.alarm
        assert "biases have no part" in found.alarm
    assert "\n" not in found.alarm + found.told()


@pytest.mark.parametrize(
    "change", [lambda x: x // 8, lambda x: 255 - x // 8, lambda x: 120 + x // 16]
)
def test_dark_pale_and_flat_photographs_are_no_reason(synthetic, drawn, change):
    for right in (CAFFE, TORCH):
        assert check_preprocess(made_for(synthetic, right), change(drawn)).alarm == ""
    wrong = dataclasses.replace(synthetic, preprocess=UNIT)
    assert "hardly differ" in check_preprocess(wrong, change(drawn)).alarm


def test_much_the_same_photograph_is_no_reason(synthetic, drawn):
    """They differ little with any preprocessing, and by chance less with the right one."""
    same = np.stack([np.roll(drawn[0], shift, axis=1) for shift in range(8)])
    found = check_preprocess(made_for(synthetic, TORCH), same)
    assert found.photographs == 8
    assert found.alarm == ""
    few = dataclasses.replace(found, differs=0.1, differs_with_other=0.18)
    assert few.alarm == ""
    assert "hardly differ" in dataclasses.replace(few, differs=0.02).alarm
    assert "hardly differ" in dataclasses.replace(few, differs=0.2, differs_with_other=0.4).alarm


def test_without_photographs_or_biases_nothing_is_claimed(synthetic, drawn):
    wrong = dataclasses.replace(synthetic, preprocess=UNIT)
    for few in (drawn[:0], drawn[:1], np.zeros_like(drawn)):
        found = check_preprocess(wrong, few)
        assert (found.photographs, found.alarm, found.told()) == (
            0,
            "",
            "RGB / 255 alone (the lecture's)",
        )
    bare = {name: leaves | {"bias": 0 * leaves["bias"]} for name, leaves in wrong.params.items()}
    assert check_preprocess(dataclasses.replace(wrong, params=bare), drawn).alarm == ""


def test_another_network_is_not_judged_by_features_that_were_not_measured(synthetic, drawn):
    other = dataclasses.replace(
        synthetic, architecture={"name": "residual"}, source="r.safetensors"
    )
    check = check_preprocess(other, drawn)
    assert (check.photographs, check.alarm) == (0, "")


def test_photographs_are_few_small_and_ordinary():
    images = np.random.default_rng(0).integers(0, 100, (50, 400, 200, 3)).astype(np.uint8)
    shown = ordinary(images)
    assert shown.shape == (8, 133, 66, 3)
    np.testing.assert_allclose(shown.mean((1, 2, 3)), 115, atol=1)
    np.testing.assert_allclose(shown.std((1, 2, 3)), 60, atol=3)  # clipping takes some


def test_a_difference_is_one_minus_the_mean_cosine(synthetic, drawn):
    same = np.stack([drawn[0]] * 3)
    np.testing.assert_allclose(differences(synthetic, same, (CAFFE,)), [0], atol=1e-6)
    layers = synthetic.params.items()
    dead = {
        name: {"kernel": 0 * leaves["kernel"], "bias": 0 * leaves["bias"] - 1}
        for name, leaves in layers
    }
    assert differences(dataclasses.replace(synthetic, params=dead), drawn, (CAFFE,)) == [0.0]


@pytest.fixture(scope="module")
def real(real_images) -> Weights:
    path = real_images / "vgg16_imagenet_notop.h5"
    if not path.is_file():
        pytest.skip(f"no published weights at {path}")
    return load(path)


@pytest.fixture(scope="module")
def photographs(real_images) -> np.ndarray:
    paths = sorted((real_images / "cats_dogs" / "validation").rglob("*.jpg"))[::125]
    return np.stack([photos.decode(path.read_bytes(), size=64, name=path.name) for path in paths])


@pytest.mark.parametrize(
    "used", [CAFFE, SWAPPED, UNIT, TORCH], ids=["caffe", "swapped", "unit", "torch"]
)
def test_the_published_first_kernel_says_what_it_wants(real, used):
    for right in (CAFFE, SWAPPED, UNIT, TORCH):
        weights = dataclasses.replace(made_for(real, right), preprocess=used)
        assert published(weights) == right
        alarm = check_preprocess(weights, np.zeros((0, 32, 32, 3), np.uint8)).alarm
        assert ("their first kernel is the published one" in alarm) == (used != right)


@pytest.mark.parametrize("right", [CAFFE, TORCH], ids=["caffe", "torch"])
@pytest.mark.parametrize("used", [CAFFE, UNIT, TORCH], ids=["caffe", "unit", "torch"])
def test_activations_alone_tell_of_the_published_weights(
    real, photographs, used, right, monkeypatch
):
    monkeypatch.setattr("tljax.weights.preprocessing.published", lambda weights: None)
    alarm = check_preprocess(
        dataclasses.replace(made_for(real, right), preprocess=used), photographs
    ).alarm
    # 1/255 lacks a mean and is 4.4 times too small for torchvision's: too little to be told by.
    assert bool(alarm) == ((used is CAFFE) != (right is CAFFE))
