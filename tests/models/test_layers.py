import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.models import ops
from tljax.models.layers import Conv, dropout

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(4, 5, 4, 3)), jnp.float32)
KEYS = jax.random.split(jax.random.key(1), 64)
# Random bits take XLA on CPU seconds to compile when it optimises.
quick = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
drop = quick(lambda x, rate, keys: dropout(x, rate=rate, keys=keys))


def conv_variables(layer, **changes):
    shapes = jax.eval_shape(functools.partial(layer.init, pool=True), jax.random.key(2), X)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(RNG.normal(0, 0.3, leaf.shape), jnp.float32), shapes
    )
    return {**variables, "params": {**variables["params"], **changes}}


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_conv_pools_what_it_shows(padding):
    """Bias and relu after the pooling are the same bits as before it."""
    layer = Conv(6, padding=padding)
    variables = conv_variables(layer, bias=jnp.linspace(-1, 1, 6))
    kernel, bias = variables["params"]["kernel"], variables["params"]["bias"]
    activation, pooled = layer.apply(variables, X, pool=True)
    expected = jax.nn.relu(ops.conv(X, kernel, padding=padding) + bias)
    np.testing.assert_array_equal(activation, expected)
    np.testing.assert_array_equal(pooled, ops.max_pool(expected))
    activation, following = layer.apply(variables, X, pool=False)
    np.testing.assert_array_equal(activation, expected)
    np.testing.assert_array_equal(following, expected)


def test_normalised_conv_by_formula():
    """Negative scales included: they do not commute with the maximum."""
    layer = Conv(6, norm=True)
    scale, shift = jnp.array([-2.0, -1.0, -0.1, 0.1, 1.0, 2.0]), jnp.linspace(-1, 1, 6)
    variables = conv_variables(layer, norm={"scale": scale, "bias": shift})
    variables["batch_stats"] = {"norm": {"mean": jnp.zeros(6), "var": jnp.ones(6)}}
    y = np.asarray(ops.conv(X, variables["params"]["kernel"], padding="SAME"))

    (activation, pooled), moved = layer.apply(
        variables, X, pool=True, frozen_statistics=False, mutable=["batch_stats"]
    )
    mean, variance = y.mean((0, 1, 2)), y.var((0, 1, 2))
    expected = np.maximum((y - mean) / np.sqrt(variance + 1e-3) * scale + shift, 0)
    np.testing.assert_allclose(activation, expected, atol=1e-5)
    np.testing.assert_array_equal(pooled, ops.max_pool(activation))
    statistics = moved["batch_stats"]["norm"]
    np.testing.assert_allclose(statistics["mean"], 0.1 * mean, atol=1e-6)
    np.testing.assert_allclose(statistics["var"], 0.9 + 0.1 * variance, rtol=1e-5)

    running = {
        **variables,
        "batch_stats": {"norm": {"mean": jnp.full(6, 0.3), "var": jnp.full(6, 2.0)}},
    }
    (activation, _), moved = layer.apply(running, X, pool=True, mutable=["batch_stats"])
    expected = np.maximum((y - 0.3) / np.sqrt(2.0 + 1e-3) * scale + shift, 0)
    np.testing.assert_allclose(activation, expected, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, moved["batch_stats"], running["batch_stats"])


def test_dropout_keeps_the_mean_and_scales_what_it_keeps():
    kept = np.asarray(drop(jnp.ones((64, 1000)), 0.25, KEYS))
    np.testing.assert_array_equal(np.unique(kept), np.float32([0, 1 / 0.75]))
    four_sigma = 4 * np.sqrt(0.25 / 0.75 / kept.size)
    assert abs(kept.mean() - 1) < four_sigma
    assert np.all(np.abs(kept.mean(0) - 1) < 5 * np.sqrt(0.25 / 0.75 / 64))  # no unit is special
    assert len(np.unique(kept, axis=0)) == 64  # no two examples share a mask


def test_a_mask_depends_on_its_own_key_only():
    x = jnp.asarray(RNG.normal(size=(64, 10)), jnp.float32)
    whole, some = drop(x, 0.5, KEYS), np.array([40, 3, 3, 11])
    np.testing.assert_array_equal(drop(x[some], 0.5, KEYS[some]), whole[some])


def test_dropout_rates_are_traced_and_its_ends_are_exact():
    traces = []

    @quick
    def both(x, rate):
        traces.append(rate)
        y, back = jax.vjp(lambda x: dropout(x, rate=rate, keys=KEYS), x)
        return y, back(jnp.ones_like(y))[0]

    x = jnp.asarray(RNG.normal(size=(64, 10)), jnp.float32)
    unchanged, _ = both(x, 0.0)
    nothing, slope = both(x, 1.0)
    half, _ = both(x, 0.5)
    np.testing.assert_array_equal(unchanged, x)
    np.testing.assert_array_equal(nothing, np.zeros_like(x))
    np.testing.assert_array_equal(slope, np.zeros_like(x))  # and no 0/0 in the gradient
    np.testing.assert_array_equal(half[half != 0], 2 * x[half != 0])
    assert len(traces) == 1
