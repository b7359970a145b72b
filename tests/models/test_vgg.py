import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tljax.errors import InputError
from tljax.models import vgg
from tljax.models.vgg import LAYERS, VGG16

# fmt: off
KERAS_LAYERS = (
    "block1_conv1", "block1_conv2", "block1_pool",
    "block2_conv1", "block2_conv2", "block2_pool",
    "block3_conv1", "block3_conv2", "block3_conv3", "block3_pool",
    "block4_conv1", "block4_conv2", "block4_conv3", "block4_pool",
    "block5_conv1", "block5_conv2", "block5_conv3", "block5_pool",
)
# fmt: on
# Small programs run once: XLA need not optimise them.
quick = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
SMALL = VGG16(width=0.0625)
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(2, 32, 32, 3)), jnp.float32)


def fill(tree):
    """Random numbers in place of shapes: nothing to compile,
    and no zeros for a mistake to hide behind.
    """

    def draw(shape):
        spread = 1.4 / np.sqrt(np.prod(shape[:-1])) if len(shape) > 1 else 0.3
        return jnp.asarray(RNG.normal(0, spread, shape), jnp.float32)

    return jax.tree.map(lambda leaf: draw(leaf.shape), tree)


@pytest.fixture(scope="module")
def params():
    return fill(shapes(SMALL)["params"])


@pytest.fixture(scope="module")
def whole(params):
    return SMALL.apply({"params": params}, X)


def shapes(module, size=32):
    return jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, size, size, 3)))


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_width_1_is_keras_vgg16():
    tree = shapes(VGG16(), 150)["params"]
    assert count(tree) == 14_714_688
    assert set(tree) == {layer for layer in KERAS_LAYERS if "conv" in layer}
    assert tree["block1_conv1"]["kernel"].shape == (3, 3, 3, 64)
    assert tree["block5_conv3"]["bias"].shape == (512,)
    assert LAYERS == KERAS_LAYERS


def test_width_multiplies_the_channels():
    quarter = [16, 16, 32, 32, 64, 64, 64, 128, 128, 128, 128, 128, 128]
    inputs = [3, *quarter[:-1]]
    assert count(shapes(VGG16(width=0.25))["params"]) == sum(
        9 * i * o + o for i, o in zip(inputs, quarter, strict=True)
    )
    normed = shapes(VGG16(width=0.25, norm=True))
    assert count(normed["params"]) == sum(
        9 * i * o + 2 * o for i, o in zip(inputs, quarter, strict=True)
    )
    assert count(normed["batch_stats"]) == 2 * sum(quarter)


def test_every_activation_by_stock_operations(params, whole):
    """Keras's definition of a layer's output:
    a convolution's is after its relu and before the pooling.
    """
    features, out = whole
    assert tuple(out) == KERAS_LAYERS
    x = X
    for layer in KERAS_LAYERS:
        if "pool" in layer:
            x = nn.max_pool(x, (2, 2), (2, 2))
        else:
            kernel, bias = params[layer]["kernel"], params[layer]["bias"]
            x = nn.relu(
                lax.conv_general_dilated(
                    x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
                )
                + bias
            )
        np.testing.assert_allclose(out[layer], x, atol=1e-5 * np.abs(x).max(), err_msg=layer)
    assert features.shape == (2, 1, 1, 32)
    np.testing.assert_array_equal(features, out["block5_pool"])


@pytest.mark.parametrize("cut", range(len(LAYERS) - 1))
def test_two_runs_are_one(params, whole, cut):
    features, out = whole
    middle, first = SMALL.apply({"params": params}, X, stop=LAYERS[cut])
    end, second = SMALL.apply({"params": params}, middle, start=LAYERS[cut + 1])
    assert (*first, *second) == LAYERS
    np.testing.assert_array_equal(end, features)
    for layer, value in {**first, **second}.items():
        np.testing.assert_array_equal(value, out[layer])


def test_one_layer_alone(params, whole):
    _, out = whole
    start = stop = "block3_conv2"
    features, only = SMALL.apply({"params": params}, out["block3_conv1"], start=start, stop=stop)
    assert tuple(only) == (start,)
    np.testing.assert_array_equal(features, out[start])


@pytest.mark.parametrize(
    ("start", "stop", "message"),
    [
        ("block6_conv1", "block5_pool", "no layer 'block6_conv1'"),
        ("block1_conv1", "head", "no layer 'head'"),
        ("block4_conv1", "block3_pool", "'block3_pool' comes first"),
    ],
)
def test_impossible_runs_are_refused(start, stop, message):
    with pytest.raises(InputError, match=message):
        vgg.ARCHITECTURE.between(start, stop)


def test_folded_normalisation_gives_the_same_activations():
    """With moved statistics and with scales of both signs, as after training."""
    module = VGG16(width=0.0625, norm=True)
    variables = fill(shapes(module))
    statistics = variables["batch_stats"]
    params = {
        layer: {**leaves, "norm": {**leaves["norm"], "scale": leaves["norm"]["scale"] * 4}}
        for layer, leaves in variables["params"].items()
    }
    for layer in statistics.values():
        layer["norm"]["var"] = jnp.abs(layer["norm"]["var"]) * 4 + 0.1
    _, expected = quick(module.apply)({"params": params, "batch_stats": statistics}, X)
    folded = vgg.fold_norm(params, statistics)
    assert jax.tree.structure(folded) == jax.tree.structure(shapes(SMALL)["params"])
    _, found = quick(SMALL.apply)({"params": folded}, X)
    for layer, value in expected.items():
        assert np.any(value), layer
        np.testing.assert_allclose(
            found[layer], value, atol=1e-5 * np.abs(value).max(), rtol=1e-5, err_msg=layer
        )


def test_the_layer_that_follows():
    following = {
        "block1_conv1": "block1_conv2",
        "block4_pool": "block5_conv1",
        "block5_pool": "head",
    }
    assert {layer: vgg.ARCHITECTURE.following(layer) for layer in following} == following
    with pytest.raises(InputError, match="vgg16 has no layer 'head'"):
        vgg.ARCHITECTURE.following("head")
