from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.data.preprocess import UNIT
from tljax.errors import InputError
from tljax.inside.attribution import grad_cam, hires_cam, integrated_gradients
from tljax.inside.net import Net, score
from tljax.models import build
from tljax.models.build import Network

SIZE = 32
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, SIZE, SIZE, 3)).astype(np.uint8)


def net_of(network, *, classes):
    module = build.classifier(network, classes=classes)
    params = build.init(module, key=jax.random.key(1), size=SIZE)["params"]
    return Net(module, params, UNIT, classes=tuple("abc"[:classes]), size=SIZE, network=network)


@pytest.fixture(scope="module")
def cnn():
    return net_of(Network(base="cnn", hidden=0, options={"padding": "SAME"}), classes=2)


def by_hand(net, activation):
    """The last layer's logit is linear in its activations: the gradient is the kernel itself."""
    kernel = net.params["head"]["predictions"]["kernel"].reshape(*activation.shape[1:], 1)[..., 0]
    return np.maximum((kernel.mean((0, 1)) * activation).sum(-1), 0)


def test_grad_cam_of_a_linear_head_by_hand(cnn):
    activation = np.asarray(cnn.run(IMAGES, cnn.params)[1]["base/pool4"])
    found = grad_cam(cnn, IMAGES, np.array([1, 1, 1]), layer="pool4")
    np.testing.assert_allclose(found, by_hand(cnn, activation), rtol=1e-4, atol=1e-6)
    against = grad_cam(cnn, IMAGES, np.array([0, 0, 0]), layer="pool4")
    assert found.shape == (3, 2, 2)
    np.testing.assert_allclose(against, by_hand(cnn, -activation), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("norm", [False, True])
def test_evidence_of_a_flattening_head_sums_to_the_logit(norm):
    """Without its bias; evidence for a class is what speaks against the other."""
    options = {"width": 0.0625}
    net = net_of(Network(hidden=0, options=options, feature_norm=norm), classes=2)
    images = np.full((3, 64, 64, 3), 90, np.uint8)
    images[:, ::7, ::5] = np.array([[0, 100, 255], [200, 10, 0], [9, 99, 199]])[:, None, None]
    net = replace(net, size=64)
    net.params["head"]["predictions"]["kernel"] = RNG.normal(size=(2 * 2 * 32, 1))
    logit = np.asarray(net.run(images, net.params)[0])[:, 0]
    ones = np.ones(3, int)
    toward, against = (
        hires_cam(net, images, classes, layer="block5_conv3").sum((1, 2))
        for classes in (ones, 0 * ones)
    )
    assert np.abs(logit).min() > 1e-3
    np.testing.assert_allclose(toward - against, logit, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("layer", ["block1_conv2", "block5_conv3"])
def test_grad_cam_runs_on_from_any_layer_of_vgg16(layer):
    net = net_of(Network(hidden=8, options={"width": 0.0625}), classes=3)
    found = grad_cam(net, IMAGES, np.array([2, 0, 1]), layer=layer)
    side = SIZE if layer.startswith("block1") else SIZE // 16
    assert found.shape == (3, side, side)
    assert (found >= 0).all()
    assert np.isfinite(found).all()
    with pytest.raises(InputError, match=r"no layer 'block6'; the base's layers are block1_conv1"):
        grad_cam(net, IMAGES, np.array([2, 0, 1]), layer="block6")


@pytest.mark.parametrize("start", ["conv3", "pool3"])
def test_the_scratch_network_runs_from_a_layer_of_its_own(cnn, start):
    logits, out = cnn.run(IMAGES, cnn.params)
    before = {"conv3": "base/pool2", "pool3": "base/conv3"}[start]
    np.testing.assert_allclose(
        cnn.onward(out[before], cnn.params, start=start), logits, rtol=1e-5, atol=1e-6
    )
    with pytest.raises(InputError, match="cnn has no layer 'conv9'"):
        cnn.onward(out[before], cnn.params, start="conv9")


@pytest.mark.parametrize("baseline", [0.0, 128.0])
def test_integrated_gradients_add_up_to_the_logit(cnn, baseline):
    wanted = np.array([1, 0, 1])
    found = integrated_gradients(cnn, IMAGES, wanted, baseline=baseline, steps=128)
    here, there = (
        score(cnn.run(jnp.asarray(x, jnp.float32), cnn.params)[0], wanted)
        for x in (IMAGES, np.full_like(IMAGES, int(baseline)))
    )
    np.testing.assert_allclose(found.sum((1, 2, 3)), here - there, rtol=0.02, atol=2e-4)


def test_the_score_of_a_class():
    np.testing.assert_array_equal(score(jnp.array([[2.0], [2.0]]), np.array([0, 1])), [-2, 2])
    np.testing.assert_array_equal(score(jnp.array([[1.0, 5.0, 7.0]] * 2), np.array([2, 0])), [7, 1])
