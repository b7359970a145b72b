import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tljax.models import ops, winograd
from tljax.models.winograd import Shape

HURRY = {"xla_backend_optimization_level": 0}
RNG = np.random.default_rng(0)


def integers(*shape):
    """Small ones: with the quarters of the transformed kernel every sum is exact in float32,
    so that equal means the same bits.
    """
    return jnp.asarray(RNG.integers(-3, 4, shape), jnp.float32)


def stock(x, kernel, padding):
    return lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def value_and_gradients(conv, x, kernel, g):
    y, back = jax.vjp(conv, x, kernel)
    return y, *back(g)


def primitives(function, *arguments):
    return str(jax.make_jaxpr(function)(*arguments))


@pytest.mark.parametrize(
    ("images", "height", "width", "padding"),
    [(6, 7, 6, "SAME"), (5, 6, 9, "VALID"), (1, 3, 3, "VALID"), (3, 2, 1, "SAME")],
)
def test_values_and_both_gradients_are_the_stock_ones(monkeypatch, images, height, width, padding):
    """Odd maps and even ones; of 5 images one at a time, of 6 three at a time."""
    monkeypatch.setattr(winograd, "_TILES", 3 * -(-height // 2) * -(-width // 2))
    x, kernel = integers(images, height, width, 3), integers(3, 3, 3, 4)
    pad, lost = (1, 0) if padding == "SAME" else (0, 2)
    g = integers(images, height - lost, width - lost, 4)
    forward = Shape(height, width, 3, 4, pad)
    conv = lambda x, k: ops.conv(x, k, padding=padding)  # noqa: E731
    with winograd.using({forward, forward.turned}):
        assert "conv_general_dilated" not in primitives(conv, x, kernel)
        found = jax.jit(value_and_gradients, static_argnums=0, compiler_options=HURRY)(
            conv, x, kernel, g
        )
    wanted = jax.jit(value_and_gradients, static_argnums=0, compiler_options=HURRY)(
        lambda x, k: stock(x, k, padding), x, kernel, g
    )
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.any(b)


def test_rounding_is_that_of_float32():
    """At most twice the unit roundoff for each product: its factors are sums of four numbers."""
    x, kernel = RNG.normal(size=(2, 13, 11, 32)), RNG.normal(size=(3, 3, 32, 8))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), (3, 3), axis=(1, 2)
    )
    exact = np.einsum("nhwcij,ijco->nhwo", windows, kernel)
    sizes = np.einsum("nhwcij,ijco->nhwo", abs(windows), abs(kernel))
    conv = jax.jit(lambda x, k: winograd.conv(x, k, 1), compiler_options=HURRY)
    y = conv(x.astype(np.float32), kernel.astype(np.float32))
    error = np.abs(np.asarray(y, np.float64) - exact)
    assert 0 < error.max() < 2 * np.finfo(np.float32).eps * sizes.max()


def test_the_gradient_of_the_input_is_chosen_by_its_own_shape():
    x, kernel = integers(2, 8, 7, 3), integers(3, 3, 3, 4)
    forward = Shape(8, 7, 3, 4, 0)
    assert forward.turned == Shape(6, 5, 4, 3, 2)
    assert forward.turned.turned == forward

    def gradients(x, kernel):
        return jax.grad(lambda *xk: ops.conv(*xk, padding="VALID").sum(), (0, 1))(x, kernel)

    counts = []
    for shapes in ((), (forward,), (forward.turned,), (forward, forward.turned)):
        with winograd.using(shapes):
            text = primitives(gradients, x, kernel)
        counts.append((text.count("conv_general_dilated["), text.count("dot_general[")))
    # What is left is the gradient of the kernel; the forward pass is in the first two.
    assert counts == [(3, 0), (2, 16), (2, 16), (1, 32)]


def test_flops_of_the_direct_way():
    assert Shape(75, 75, 128, 64, 1).flops == 2 * 9 * 75 * 75 * 128 * 64
    assert Shape(8, 7, 3, 4, 0).flops == 2 * 9 * 6 * 5 * 3 * 4


def test_without_shapes_and_for_half_precision_the_program_is_the_usual_one():
    def conv(x, kernel):
        return ops.conv(x, kernel, padding="SAME")

    x, kernel = integers(2, 8, 7, 3), integers(3, 3, 3, 4)
    usual = primitives(conv, x, kernel)
    assert usual.count("conv_general_dilated") == 1
    half = x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    with winograd.using({Shape(8, 7, 3, 4, 1)}):
        assert "dot_general" not in primitives(conv, *half)
        assert "dot_general" not in primitives(conv, x[:, :7], kernel)  # another shape
        with ops.stock():
            assert "dot_general" not in primitives(conv, x, kernel)
    assert primitives(conv, x, kernel) == usual


def test_a_program_is_traced_anew_within_other_shapes():
    """JAX's caches know of the shapes: the same function is two programs."""
    function = jax.jit(lambda x, k: ops.conv(x, k, padding="SAME"))
    x, kernel = integers(2, 8, 7, 3), integers(3, 3, 3, 4)
    texts = [function.lower(x, kernel).as_text()]
    with winograd.using({Shape(8, 7, 3, 4, 1)}):
        assert winograd.in_use() == {Shape(8, 7, 3, 4, 1)}
        texts.append(function.lower(x, kernel).as_text())
    texts.append(function.lower(x, kernel).as_text())
    assert ["stablehlo.convolution" in text for text in texts] == [True, False, True]


def test_in_a_scan_and_mapped_over_kernels():
    xs, kernels = integers(3, 2, 7, 6, 3), integers(2, 3, 3, 3, 4)

    def summed(kernel):
        return lax.map(lambda x: ops.conv(x, kernel, padding="SAME"), xs).sum((1, 2, 3))

    wanted = jax.jit(jax.vmap(summed), compiler_options=HURRY)(kernels)
    with winograd.using({Shape(7, 6, 3, 4, 1)}):
        found = jax.jit(jax.vmap(summed), compiler_options=HURRY)
        assert "convolution" not in found.lower(kernels).as_text()
        np.testing.assert_array_equal(found(kernels), wanted)
