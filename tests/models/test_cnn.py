import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tljax.errors import InputError
from tljax.models.cnn import CNN


def shapes(module, height, width):
    return jax.eval_shape(
        module.init_with_output, jax.random.key(0), jnp.zeros((1, height, width, 3))
    )


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
def test_activations_by_stock_operations(padding):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 46, 49, 3)), jnp.float32)
    module = CNN(padding=padding)
    _, variables = shapes(module, 46, 49)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(0, 0.1, leaf.shape), jnp.float32), variables["params"]
    )
    features, out = module.apply({"params": params}, x)
    assert list(out) == ["conv1", "pool1", "conv2", "pool2", "conv3", "pool3", "conv4", "pool4"]
    for i, channels in enumerate((32, 64, 128, 128), start=1):
        kernel, bias = params[f"conv{i}"]["kernel"], params[f"conv{i}"]["bias"]
        assert kernel.shape == (3, 3, x.shape[-1], channels)
        x = nn.relu(
            lax.conv_general_dilated(
                x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            + bias
        )
        np.testing.assert_allclose(out[f"conv{i}"], x, atol=1e-5 * np.abs(x).max())
        x = nn.max_pool(x, (2, 2), (2, 2))
        np.testing.assert_allclose(out[f"pool{i}"], x, atol=1e-5 * np.abs(x).max())
    np.testing.assert_array_equal(features, out["pool4"])


def test_the_lecture_s_shapes():
    """The deck's summary of the model."""
    (features, out), _ = shapes(CNN(), 150, 150)
    sizes = {
        "conv1": 148,
        "pool1": 74,
        "conv2": 72,
        "pool2": 36,
        "conv3": 34,
        "pool3": 17,
        "conv4": 15,
        "pool4": 7,
    }
    assert {layer: value.shape[1] for layer, value in out.items()} == sizes
    assert features.shape == (1, 7, 7, 128)


def test_images_that_would_vanish_are_refused():
    (features, _), _ = shapes(CNN(), 46, 46)
    assert features.shape == (1, 1, 1, 128)
    for height, width in [(45, 46), (46, 45)]:
        with pytest.raises(
            InputError, match=f'46 x 46 or larger, found {height} x {width}; padding="SAME"'
        ):
            shapes(CNN(), height, width)
    (features, _), _ = shapes(CNN(padding="SAME"), 32, 32)
    assert features.shape == (1, 2, 2, 128)
