import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tljax.models import pools

HURRY = {"xla_backend_optimization_level": 0}
RNG = np.random.default_rng(0)


def stock(x):
    pads = ((0, 0), (1, 1), (1, 1), (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), pads)


def value_and_gradient(pool, x, g):
    y, back = jax.vjp(pool, x)
    return y, *back(g)


def assert_same(x, g):
    run = jax.jit(value_and_gradient, static_argnums=0, compiler_options=HURRY)
    for a, b in zip(run(pools.max_pool_3x3, x, g), run(stock, x, g), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
        assert np.any(b)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (7, 6), (9, 9), (8, 8)])
def test_values_and_gradients_are_the_stock_ones_ties_included(height, width, dtype):
    """Three numbers in nine places tie; small integers add up exactly."""
    x = jnp.asarray(RNG.integers(-1, 2, (2, height, width, 3)), dtype)
    g = jnp.asarray(RNG.integers(1, 30, stock(x).shape), dtype)
    assert_same(x, g)


def test_overlapping_windows_add_up_in_the_stock_order():
    """Numbers that round: one maximum in four windows, added in another order, would differ."""
    x = jnp.zeros((64, 5, 5, 8)).at[:, 1::2, 1::2].set(1.0)
    g = jnp.asarray(RNG.normal(size=(64, 3, 3, 8)), jnp.float32)
    assert_same(x, g)


def test_known_answer():
    """Of a constant image each window's gradient goes to its first place within the image."""
    g = jnp.arange(1.0, 5.0).reshape(1, 2, 2, 1)
    dx = jax.vjp(pools.max_pool_3x3, jnp.ones((1, 4, 4, 1)))[1](g)[0]
    wanted = [[1, 2, 0, 0], [3, 4, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(dx[0, :, :, 0], wanted)


def lowered(pool, dtype, platform):
    gradient = jax.jit(jax.grad(lambda x: pool(x).sum()))
    traced = gradient.trace(jnp.zeros((2, 7, 6, 3), dtype))
    return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("platform", ["cuda", "rocm", "tpu", "cpu"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_no_scatter_over_windows_on_any_platform(platform, dtype):
    assert "select_and_scatter" not in lowered(pools.max_pool_3x3, dtype, platform)
    assert "select_and_scatter" in lowered(stock, dtype, platform)
