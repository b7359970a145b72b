import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tljax.errors import InputError
from tljax.models import ops

HURRY = {"xla_backend_optimization_level": 0}  # small programs run once: XLA need not optimise them
RNG = np.random.default_rng(0)


def integers(*shape, low=-3, high=4):
    """Small integers: sums of their products are exact in float32,
    so that equal means the same bits.
    """
    return jnp.asarray(RNG.integers(low, high, shape), jnp.float32)


def stock_conv(x, kernel, padding):
    return lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def stock_pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


@pytest.fixture
def forgetful():
    """`compiler_options` remembers its answer; these tests change the question."""
    ops.compiler_options.cache_clear()
    yield
    ops.compiler_options.cache_clear()


@pytest.fixture
def elsewhere(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def assert_same(function, stock, g, *inputs):
    """Values and gradients, to the bit. One program each, compiled in a hurry."""

    def value_and_gradients(function):
        y, back = jax.vjp(function, *inputs)
        return y, *back(g)

    found, wanted = (
        jax.jit(value_and_gradients, static_argnums=0, compiler_options=HURRY)(f)
        for f in (function, stock)
    )
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.any(b)


def assert_same_conv(height, width, padding):
    x, kernel = integers(2, height, width, 3), integers(3, 3, 3, 4)
    lost = 2 if padding == "VALID" else 0
    g = integers(2, height - lost, width - lost, 4)
    assert_same(
        lambda x, k: ops.conv(x, k, padding=padding),
        lambda x, k: stock_conv(x, k, padding),
        g,
        x,
        kernel,
    )


@pytest.mark.parametrize(
    ("height", "width", "padding"),
    [
        (1, 1, "SAME"),
        (2, 2, "SAME"),
        (2, 5, "SAME"),
        (7, 6, "SAME"),
        (3, 3, "VALID"),
        (7, 6, "VALID"),
    ],
)
def test_conv_and_both_gradients_are_the_stock_ones(height, width, padding):
    assert_same_conv(height, width, padding)


def test_conv_known_answer():
    """A box of ones over an image of ones counts the neighbours inside the image."""
    y = ops.conv(jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1)), padding="SAME")
    np.testing.assert_array_equal(y[0, :, :, 0], [[4, 6, 4], [6, 9, 6], [4, 6, 4]])


def assert_same_pool(height, width):
    x = integers(2, height, width, 3, low=0, high=3)
    g = integers(2, height // 2, width // 2, 3, low=1, high=100)
    assert_same(ops.max_pool, stock_pool, g, x)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (3, 5), (6, 7)])
def test_pool_and_its_gradient_are_the_stock_ones_ties_included(height, width):
    assert_same_pool(height, width)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (5, 4), (6, 7), (9, 9)])
def test_pool_of_half_precision_is_the_stock_one_ties_included(height, width):
    x = integers(2, height, width, 3, low=0, high=3).astype(jnp.bfloat16)
    g = integers(2, height // 2, width // 2, 3, low=1, high=100).astype(jnp.bfloat16)
    assert_same(ops.max_pool, stock_pool, g, x)


@pytest.mark.parametrize(("height", "width"), [(19, 19), (8, 9), (9, 8)])
def test_the_dropped_row_is_no_padding_of_the_convolution_before(height, width):
    """Of 17 rows pooling drops one. Padded at the end of the gradient, XLA would move it into the
    window of the input's gradient: 2 before and 3 after, which cuDNN has no kernel for.
    """
    x, kernel = integers(2, height, width, 3), integers(3, 3, 3, 4)

    def pooled(pool, x, kernel):
        return (pool(ops.conv(x, kernel, padding="VALID")) ** 2).sum()

    def pads(pool):
        grad = ops.jit(jax.grad(lambda x, k: pooled(pool, x, k)))
        return re.findall(r"window=\{[^}]*pad=(\S+)\}", grad.lower(x, kernel).compile().as_text())

    def padded(x):  # the maximum of four slices: its gradient is padded
        return ops.max_pool(x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2])

    assert pads(ops.max_pool) == ["2_2x2_2"]
    assert pads(padded) != ["2_2x2_2"]
    assert_same(
        lambda x, k: ops.max_pool(ops.conv(x, k, padding="VALID")),
        lambda x, k: stock_pool(stock_conv(x, k, "VALID")),
        integers(2, (height - 2) // 2, (width - 2) // 2, 4),
        x,
        kernel,
    )


@pytest.mark.parametrize(("height", "width"), [(19, 18), (18, 19)])
def test_the_stock_path_has_no_negative_padding_over_an_odd_map(height, width):
    """What a GPU gets: cuDNN takes equal padding of 0 and more, before and after."""
    x, kernel = integers(2, height, width, 3), integers(3, 3, 3, 4)

    def pads(conv, pool):
        """Of the convolutions of both passes, as traced for a GPU and after XLA's rewriting."""
        loss = lambda x, k: (pool(conv(x, k)) ** 2).sum()  # noqa: E731
        with ops.stock():
            traced = ops.jit(jax.grad(loss)).trace(x, kernel)
            cuda = traced.lower(lowering_platforms=("cuda",)).as_text()
            rewritten = traced.lower().compile().as_text()
        return (
            re.findall(r"pad = \[\[(.*?)\]\]", cuda),
            re.findall(r"window=\{[^}]*pad=(\S+)\}", rewritten),
        )

    def valid(x, kernel):
        return ops.conv(x, kernel, padding="VALID")

    def cut(x, kernel):  # VALID as a padded convolution that is cut: its gradient cuts again
        return stock_conv(x, kernel, [(3, 3), (3, 3)])[:, 3:-3, 3:-3]

    def padded(x):  # the gradient of what is dropped, as zeros at the end
        return ops.max_pool(x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2])

    assert pads(valid, ops.max_pool) == (["0, 0], [0, 0", "2, 2], [2, 2"], ["2_2x2_2"])
    assert pads(cut, ops.max_pool)[0][1] == "-1, -1], [-1, -1"
    assert pads(valid, padded)[1] != ["2_2x2_2"]


def test_pool_gives_a_tie_to_the_first():
    """Written out: windows of equal numbers, the last row dropped."""
    g = jax.grad(lambda x: (ops.max_pool(x) * jnp.array([[[[5.0], [7.0]]]])).sum())(
        jnp.ones((1, 3, 4, 1))
    )
    np.testing.assert_array_equal(g[0, :, :, 0], [[5, 0, 7, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def test_gradients_inside_a_scan_are_those_outside():
    xs, kernel = integers(3, 2, 7, 6, 3), integers(3, 3, 3, 4)

    def grads(kernel, x):
        return jax.grad(lambda k: (ops.max_pool(ops.conv(x, k, padding="SAME")) ** 2).sum())(kernel)

    inside = ops.jit(
        lambda k, xs: lax.scan(lambda total, x: (total + grads(k, x), None), jnp.zeros_like(k), xs)[
            0
        ]
    )
    np.testing.assert_array_equal(inside(kernel, xs), sum(grads(kernel, x) for x in xs))


def test_other_platforms_get_the_stock_convolution_and_the_hand_written_pooling(elsewhere):
    assert "custom_vjp" not in str(
        jax.make_jaxpr(lambda x: ops.conv(x, x, padding="SAME"))(integers(3, 3, 3, 3))
    )
    pooled = jax.jit(jax.grad(lambda x: ops.max_pool(x).sum()))
    for dtype in (jnp.float32, jnp.bfloat16):
        lowered = (
            pooled.trace(jnp.zeros((2, 6, 7, 3), dtype))
            .lower(lowering_platforms=("cuda",))
            .as_text()
        )
        assert "select_and_scatter" not in lowered
    assert_same_conv(5, 4, "SAME")
    assert_same_conv(5, 4, "VALID")
    assert_same_pool(5, 4)


def test_no_compiler_options_elsewhere(forgetful, elsewhere):
    assert ops.compiler_options() is None


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="about XLA on CPU")
def test_jit_keeps_convolutions_from_ynnpack():
    conv = ops.jit(lambda x, k: ops.conv(x, k, padding="SAME"))
    assert (
        "ynn_fusion"
        not in conv.lower(integers(2, 8, 8, 3), integers(3, 3, 3, 4)).compile().as_text()
    )


def test_jit_falls_back_where_the_option_is_unknown(forgetful, monkeypatch):
    monkeypatch.setattr(ops, "CPU_OPTIONS", {"xla_cpu_no_such_option": "NONE"})
    assert ops.compiler_options() is None
    assert ops.jit(lambda x: x + 1, static_argnums=())(41) == 42


def test_other_failures_are_not_taken_for_an_unknown_option(forgetful, monkeypatch):
    def broken(*args, **kwargs):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(jax, "jit", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="out of memory"):
        ops.compiler_options()


def test_pooling_what_is_too_small_is_refused():
    with pytest.raises(InputError, match="images too small for the base: 1 x 3 are left"):
        ops.max_pool(jnp.zeros((1, 1, 3, 1)))
