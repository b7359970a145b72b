"""Batch normalisation: Flax's leaves and values, with sums over places that are fast on CPU.

XLA on CPU reduces all places of a channel one float after the other: with stock normalisation the
sums take half a training step of EfficientNet-Lite. Here a few large slabs are added element by
element, and a product with ones adds the rest.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the last, in the dtype of its input.

    Parameters `scale` and `bias`, statistics `mean` and `var`: float32, as `nn.BatchNorm` has them.
    """

    epsilon: float
    momentum: float

    @nn.compact
    def __call__(self, x: Array, *, use_running_average: bool) -> Array:
        shape, wide = x.shape[-1:], jnp.promote_types(x.dtype, jnp.float32)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        scale = self.param("scale", nn.initializers.ones, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        if use_running_average:
            centre, spread = mean.value, var.value
        else:
            centre, square = moments(x)
            spread = jnp.maximum(square - centre * centre, 0)
            if not self.is_initializing():
                mean.value = self.momentum * mean.value + (1 - self.momentum) * centre
                var.value = self.momentum * var.value + (1 - self.momentum) * spread
        factor = scale.astype(wide) * lax.rsqrt(spread.astype(wide) + self.epsilon)
        return scaled(x, centre.astype(wide), factor, bias.astype(wide))


@jax.custom_vjp
def moments(x: Array) -> tuple[Array, Array]:
    """Compute the means of `[..., C]` and of its square over all places: two arrays `[C]`.

    Float32, or the dtype of `x` where that is wider.
    """
    places = x.size // x.shape[-1]
    return channel_sums(x) / places, channel_sums(x, x) / places


def _moments_forward(x: Array):
    return moments(x), x


def _moments_backward(x: Array, g: tuple[Array, Array]):
    places = x.size // x.shape[-1]
    return (((g[0] + 2 * x * g[1]) / places).astype(x.dtype),)


moments.defvjp(_moments_forward, _moments_backward)


@jax.custom_vjp
def scaled(x: Array, centre: Array, factor: Array, bias: Array) -> Array:
    """Compute `(x - centre) * factor + bias` for `[..., C]` and three arrays `[C]`."""
    return ((x - centre) * factor + bias).astype(x.dtype)


def _scaled_forward(x: Array, centre: Array, factor: Array, bias: Array):
    return scaled(x, centre, factor, bias), (x, centre, factor)


def _scaled_backward(saved: tuple[Array, Array, Array], g: Array):
    x, centre, factor = saved
    if jax.default_backend() == "cpu":
        g = lax.optimization_barrier(g)  # what made it would be computed again for each sum
    total = channel_sums(g)
    product = channel_sums(g, x) - centre * total
    return (g * factor).astype(x.dtype), -factor * total, product, total


scaled.defvjp(_scaled_forward, _scaled_backward)

_SLABS = 16


def channel_sums(*factors: Array) -> Array:
    """Sum the product of arrays `[..., C]` over all places: `[C]`, float32 or wider."""
    wide = jnp.promote_types(factors[0].dtype, jnp.float32)
    flat = [factor.reshape(-1, factor.shape[-1]) for factor in factors]
    places, channels = flat[0].shape
    slabs = next(number for number in range(_SLABS, 0, -1) if places % number == 0)
    if jax.default_backend() != "cpu" or slabs == 1:
        return functools.reduce(jnp.multiply, [one.astype(wide) for one in flat]).sum(0)
    split = [one.reshape(slabs, places // slabs, channels) for one in flat]
    products = [
        functools.reduce(jnp.multiply, [one[i].astype(wide) for one in split]) for i in range(slabs)
    ]
    part = lax.optimization_barrier(functools.reduce(jnp.add, products))
    return (jnp.ones((1, places // slabs), wide) @ part)[0]
