import jax
import numpy as np
import pytest

from tljax.data.preprocess import UNIT
from tljax.inside import layers
from tljax.inside.excite import maximise, peaks, strongest_units, top_patches
from tljax.inside.net import Net
from tljax.inside.similar import neighbours, pooled, top_losses
from tljax.models import build, cnn, ops, vgg
from tljax.models.build import Network
from tljax.models.cnn import CNN

SIZE = 16


@pytest.fixture(scope="module")
def net():
    """conv1's first kernel looks for red; the others are random."""
    network = Network("cnn", {"padding": "SAME"}, hidden=0)
    module = build.classifier(network, classes=2)
    params = build.init(module, key=jax.random.key(0), size=SIZE)["params"]
    kernel = np.array(params["base"]["conv1"]["kernel"])
    kernel[..., 0] = 0
    kernel[1, 1, :, 0] = (1, -0.4, -0.4)
    params["base"]["conv1"]["kernel"] = kernel
    return Net(module, params, UNIT, classes=("cat", "dog"), size=SIZE, network=network)


@pytest.mark.parametrize(
    ("layer", "size", "stride", "start"),
    [
        ("block1_conv1", 3, 1, -1),
        ("block1_pool", 6, 2, -2),
        ("block3_conv3", 40, 4, -18),
        ("block5_conv3", 196, 16, -90),
        ("block5_pool", 212, 32, -90),
    ],
)
def test_receptive_fields_of_vgg16_are_the_published_ones(layer, size, stride, start):
    field = vgg.ARCHITECTURE.field_of_view(layer, {})
    assert (field.size, field.stride, field.start) == (size, stride, start)


@pytest.mark.parametrize(
    ("network", "layer", "places"),
    [
        (Network(), "block4_conv3", 6),
        (Network(), "block5_pool", 1),
        (Network("cnn"), "conv1", 46),
        (Network("cnn"), "conv4", 2),
    ],
)
def test_a_layer_has_so_many_units_along_a_photograph_of_48_pixels(network, layer, places):
    architecture = network.architecture
    assert architecture.field_of_view(layer, architecture.options).places(48) == places
    base = build.base_of(network)
    out = jax.eval_shape(
        lambda x: base.init_with_output(jax.random.key(0), x)[0][1], jax.numpy.zeros((1, 48, 48, 3))
    )
    assert out[layer].shape[1:3] == (places, places)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_a_unit_of_the_scratch_network_sees_its_field_and_nothing_else(padding):
    base, layer, at = CNN(padding=padding), "pool2", (3, 4)
    field = cnn.ARCHITECTURE.field_of_view(layer, {"padding": padding})
    x = jax.random.uniform(jax.random.key(0), (1, 48, 48, 3))
    variables = ops.jit(base.init)(jax.random.key(1), x)
    reached = ops.jit(jax.grad(lambda x: base.apply(variables, x)[1][layer][0, *at, :].sum()))(x)[
        0
    ].any(-1)
    rows, columns = (np.flatnonzero(reached.any(axis)) for axis in (1, 0))
    for seen, place in ((rows, at[0]), (columns, at[1])):
        first = field.start + field.stride * place
        assert first <= seen[0]
        assert seen[-1] < first + field.size
        # Only maxima pass a gradient on: the rim may be missing, by one pooling's choice.
        assert seen[-1] - seen[0] + 1 >= field.size - 3


def conv1(net, images):
    return peaks(net, images, layers=["conv1"])["conv1"]


def test_the_strongest_patch_is_where_the_red_square_is(net):
    images = np.zeros((40, SIZE, SIZE, 3), np.uint8)
    images[7, 4, 9, 0], images[35, 10, 2, 0] = 255, 200
    crops, strength = top_patches(net, images, conv1(net, images), units=[0], count=2)
    np.testing.assert_allclose(strength, [[1, 200 / 255]], rtol=1e-6)
    for crop, value in zip(crops[0], (255, 200), strict=True):
        assert crop.shape == (3, 3, 3)
        assert crop[1, 1, 0] == value
        assert crop.sum() == value


def test_the_border_is_left_out(net):
    """It sees padding: the brighter square in the corner is passed over."""
    images = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    images[0, 0, 0, 0], images[0, 5, 6, 0] = 255, 100
    ((crop,),), strength = top_patches(net, images, conv1(net, images), units=[0], count=1)
    np.testing.assert_allclose(strength, [[100 / 255]], rtol=1e-6)
    assert crop[1, 1].tolist() == [100, 0, 0]
    assert [layers.margin(net, layer) for layer in ("conv1", "conv2", "pool4")] == [2, 1, 0]


def test_crops_beyond_the_edge_are_grey(net):
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[0, 0, 0] = 255
    crop = layers.receptive_field(net, "conv1").crop(image, 0, 0)
    assert (crop[0] == 128).all()
    assert (crop[:, 0] == 128).all()
    assert crop[1, 1].tolist() == [255, 0, 0]


def test_maximisation_excites_its_unit(net):
    pictures, strength = maximise(net, layer="conv1", units=[0, 5], key=jax.random.key(0), steps=60)
    assert pictures.shape == (2, SIZE, SIZE, 3)
    assert (strength[1] > 1.5 * strength[0]).all()
    assert pictures.min() >= 0
    assert pictures.max() <= 255
    red, green, blue = pictures[0].mean((0, 1))
    assert red > 200 > 60 > max(green, blue)


def test_planted_duplicates_are_the_nearest(net):
    images = np.random.default_rng(0).integers(0, 256, (10, SIZE, SIZE, 3)).astype(np.uint8)
    images[8] = images[3]
    features = pooled(net, images, layer="pool4")
    assert features.shape == (10, 128)
    rows, similarity = neighbours(features[[3]], features, count=3)
    assert set(rows[0, :2].tolist()) == {3, 8}
    np.testing.assert_allclose(similarity[0, :2], 1, rtol=1e-5)
    assert similarity[0, 2] < similarity[0, 1]
    np.testing.assert_allclose(
        neighbours(np.eye(2), np.array([[3.0, 4.0]]), count=1)[1], [[0.6], [0.8]]
    )


def test_the_worst_losses_come_first(net):
    images = np.random.default_rng(0).integers(0, 256, (40, SIZE, SIZE, 3)).astype(np.uint8)
    labels = np.arange(40) % 2
    logits = np.asarray(net.run(images, net.params)[0], np.float64)[:, 0]
    expected = np.log1p(np.exp(np.where(labels == 1, -logits, logits)))
    worst, losses = top_losses(net, images, labels, count=5)
    np.testing.assert_array_equal(worst, np.argsort(-expected)[:5])
    np.testing.assert_allclose(losses, expected[worst], rtol=1e-5)


def test_units_that_tell_photographs_apart_come_first(net):
    images = np.zeros((4, SIZE, SIZE, 3), np.uint8)
    images[:2, ..., 0] = 255
    found = strongest_units(conv1(net, images), count=3)
    peaks = np.asarray(net.run(images, net.params)[1]["base/conv1"])[:, 2:-2, 2:-2].max((1, 2))
    assert found == np.argsort(-peaks.std(0), kind="stable")[:3].tolist()
