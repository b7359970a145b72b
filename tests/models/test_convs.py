"""Convolutions of any stride, padding and groups: values and gradients of the stock operation."""

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tljax.models import convs

CASES = {
    # height, width, input and output channels, kernel, stride, padding, groups
    "pointwise": (5, 7, 6, 10, 1, 1, "SAME", 1),
    "pointwise strided": (5, 8, 6, 10, 1, 2, "SAME", 1),
    "3 x 3": (9, 11, 5, 7, 3, 1, "SAME", 1),
    "unpadded": (9, 11, 5, 7, 3, 1, "VALID", 1),
    "strided, TensorFlow's": (10, 13, 3, 8, 3, 2, "SAME", 1),
    "strided, torch's": (10, 13, 3, 8, 3, 2, 1, 1),
    "7 x 7 strided": (17, 20, 3, 4, 7, 2, 3, 1),
    "stride larger than the kernel": (11, 9, 3, 4, 2, 3, "VALID", 1),
    "patches": (8, 13, 3, 6, 4, 4, "VALID", 1),
    "even kernel": (9, 8, 3, 4, 4, 1, "SAME", 1),
    "depthwise": (14, 9, 6, 6, 3, 1, "SAME", 6),
    "depthwise 5 x 5": (7, 7, 6, 6, 5, 1, 2, 6),
    "depthwise strided": (29, 28, 6, 6, 5, 2, "SAME", 6),
    "depthwise strided, torch's": (29, 28, 6, 6, 3, 2, 1, 6),
    "depthwise, a prime number of rows": (37, 6, 4, 4, 3, 1, "SAME", 4),
    "depthwise, larger than the image": (2, 3, 4, 4, 7, 1, 3, 4),
    "depthwise, two outputs each": (8, 7, 4, 8, 3, 2, "SAME", 4),
    "groups": (8, 7, 6, 9, 3, 2, 1, 3),
}


def arrays(case, dtype=np.float32):
    height, width, inputs, outputs, size, stride, padding, groups = CASES[case]
    draw = np.random.default_rng(0)
    x = draw.normal(size=(3, height, width, inputs))
    kernel = draw.normal(size=(size, size, inputs // groups, outputs))
    settings = {"stride": stride, "padding": padding, "groups": groups}
    return jnp.asarray(x, dtype), jnp.asarray(kernel, dtype), settings


def stock(x, kernel, *, stride, padding, groups):
    pad = padding if isinstance(padding, str) else [(padding, padding)] * 2
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        pad,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
        precision=lax.Precision.HIGHEST,
    )


def pulled(function, x, kernel, settings):
    """Return the outputs and both gradients for a seeded cotangent."""
    y, pull = jax.vjp(lambda x, kernel: function(x, kernel, **settings), x, kernel)
    g = jnp.asarray(np.random.default_rng(1).normal(size=y.shape), y.dtype)
    return y, *pull(g)


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_the_stock_operation(case):
    x, kernel, settings = arrays(case)
    ours = pulled(convs.conv, x, kernel, settings)
    theirs = pulled(stock, x, kernel, settings)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        scale = np.abs(other).max()
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("case", CASES)
def test_bfloat16_is_as_near_to_the_truth_as_the_stock_operation(case):
    x, kernel, settings = arrays(case, jnp.bfloat16)
    exact = pulled(stock, x.astype(jnp.float32), kernel.astype(jnp.float32), settings)
    for one, other in zip(pulled(convs.conv, x, kernel, settings), exact, strict=True):
        assert one.dtype == jnp.bfloat16
        scale = np.abs(other).max()
        np.testing.assert_allclose(one.astype(np.float32), other, rtol=0, atol=0.01 * scale)


@pytest.mark.parametrize("case", ["strided, torch's", "depthwise strided", "groups"])
def test_other_platforms_get_the_stock_operation(case, monkeypatch):
    x, kernel, settings = arrays(case)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    jaxpr = jax.make_jaxpr(lambda x, kernel: convs.conv(x, kernel, **settings))(x, kernel)
    assert [str(equation.primitive) for equation in jaxpr.eqns] == ["conv_general_dilated"]


@pytest.mark.parametrize("case", CASES)
def test_no_convolution_has_groups_or_dilation_on_a_cpu(case):
    """What XLA on CPU runs naively is not in the program, gradients included."""
    x, kernel, settings = arrays(case)
    jaxpr = jax.make_jaxpr(lambda x, kernel: pulled(convs.conv, x, kernel, settings))(x, kernel)
    for equation in convolutions(jaxpr.jaxpr):
        assert equation.params["feature_group_count"] == 1
        assert equation.params["batch_group_count"] == 1
        assert equation.params["lhs_dilation"] == equation.params["rhs_dilation"] == (1, 1)


def convolutions(jaxpr):
    """Return the convolutions of a program and of the programs in it."""
    found = [one for one in jaxpr.eqns if one.primitive.name == "conv_general_dilated"]
    for equation in jaxpr.eqns:
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            found += convolutions(inner)
    return found
