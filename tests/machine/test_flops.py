"""FLOPs of traced programs, against numbers written out here; every backend counts the same."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from tljax.audit import abstract_step
from tljax.config import HEAD_ONLY, Stage
from tljax.machine import devices
from tljax.machine.flops import flops, valid_taps
from tljax.models import build

X, K = jnp.zeros((5, 8, 8, 6)), jnp.zeros((3, 3, 6, 4))
VALID = 2 * 5 * (6 * 3) ** 2 * 6 * 4  # of a 3 x 3 convolution over 8 x 8


def conv(x, k, *, stride=1, padding="VALID", **options):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, k, (stride, stride), padding, dimension_numbers=numbers, **options
    )


def count(function, *arguments):
    return flops(jax.jit(function).trace(*arguments))


@pytest.mark.parametrize(
    ("function", "kernel", "expected"),
    [
        (conv, K, VALID),
        (partial(conv, padding="SAME"), K, 2 * 5 * (3 * 8 - 2) ** 2 * 6 * 4),
        (partial(conv, stride=2), K, 2 * 5 * (3 * 3) ** 2 * 6 * 4),
        (partial(conv, rhs_dilation=(2, 2)), K, 2 * 5 * (4 * 3) ** 2 * 6 * 4),
        # Two groups of three channels; one group for each channel.
        (partial(conv, feature_group_count=2), K[:, :, :3], VALID / 2),
        (partial(conv, feature_group_count=6), jnp.zeros((3, 3, 1, 6)), VALID / 4),
        # Zeros between the numbers: of 13 windows over 15 places 7 hold two numbers, 6 hold one.
        (
            partial(conv, padding=((0, 0), (0, 0)), lhs_dilation=(2, 2)),
            K,
            2 * 5 * (7 * 2 + 6) ** 2 * 6 * 4,
        ),
    ],
    ids=["valid", "same", "stride", "gap", "groups", "depthwise", "spread"],
)
def test_a_convolution_and_its_gradients(function, kernel, expected):
    """Each gradient multiplies the same pairs as the convolution, however it is written."""
    assert count(function, X, kernel) == expected
    for by in (0, 1):
        grad = jax.grad(lambda x, k: function(x, k).sum(), argnums=by)
        assert count(lambda x, k, grad=grad: grad(x, k), X, kernel) == expected
    both = jax.value_and_grad(lambda x, k: (function(x, k) ** 2).sum(), argnums=(0, 1))
    assert count(both, X, kernel) == 3 * expected


def test_matrix_products_scans_branches_and_loops():
    x, batched = jnp.zeros((7, 7)), jnp.zeros((3, 4, 5))
    one = 2 * 7**3
    assert count(lambda a, b: jnp.einsum("nij,nkj->nik", a, b), batched, batched) == 2 * 3 * 16 * 5
    assert count(lambda x: lax.scan(lambda c, _: (c @ x, c.sum()), x, length=11), x) == 11 * one
    assert count(lambda x: lax.cond(x[0, 0] > 0, lambda: x @ x @ x, lambda: x @ x), x) == 2 * one
    assert count(jax.checkpoint(lambda x: x @ jnp.sin(x)), x) == one
    assert count(jax.jit(lambda x: x + 1), x) == 0
    loop = lax.while_loop
    doubled = count(lambda x: loop(lambda c: c[0] < 9, lambda c: (c[0] + 1, 2 * c[1]), (0, x)), x)
    assert doubled == 0
    endless = count(lambda x: loop(lambda c: c.sum() > 0, lambda c: c @ x, x), x)
    assert math.isnan(endless)


def test_what_no_result_depends_on_is_not_counted():
    @jax.custom_vjp
    def product(a, b):
        return a @ b

    product.defvjp(lambda a, b: (a @ b, (a, b)), lambda s, g: (g @ s[1].T, s[0].T @ g))
    x = jnp.zeros((7, 7))
    assert count(jax.grad(lambda a, b: (product(a, b) ** 2).sum()), x, x) == 2 * 2 * 7**3


def test_a_program_over_eight_devices_counts_them_all():
    over = devices.mesh()
    part = jax.sharding.PartitionSpec(devices.AXIS)
    split = jax.shard_map(lambda x: x @ x.T, mesh=over, in_specs=part, out_specs=part)
    assert count(split, jnp.zeros((16, 5))) == 8 * 2 * 2 * 2 * 5


class Silent:
    """A backend that leaves out what its libraries multiply."""

    def cost_analysis(self):
        return {"flops": 0.6e9}


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_the_lectures_frozen_step_is_50_gigaflops_whatever_the_backend_says(monkeypatch, platform):
    """VGG16 at full width, 150 x 150, 4 images; forward, and the head backwards."""
    monkeypatch.setattr(jax.stages.Compiled, "cost_analysis", Silent.cost_analysis)
    monkeypatch.setattr(jax.stages.Lowered, "cost_analysis", Silent.cost_analysis)
    over = devices.mesh(jax.devices()[:1])
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    stage = Stage("frozen", HEAD_ONLY, lr=1e-3, epochs=1, batch_size=4, dropout=0.5)
    dry = abstract_step.planned(stage, build.Network(), classes=2, size=150)
    assert flops(dry.trace(over)) == pytest.approx(50.4e9, abs=0.05e9)


@pytest.mark.parametrize(
    ("size", "window", "taps"),
    [
        (2, {"out": 2, "taps": 3, "before": 1}, 4),
        (5, {"out": 3, "taps": 3, "before": 0}, 9),
        (5, {"out": 3, "taps": 3, "before": 1, "stride": 2}, 7),
        (3, {"out": 5, "taps": 1, "before": 0, "spread": 2}, 3),
        (5, {"out": 1, "taps": 3, "before": 0, "gap": 2}, 3),
    ],
)
def test_taps_on_real_inputs(size, window, taps):
    assert valid_taps(size, **window) == taps
