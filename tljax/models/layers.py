"""The two layers that every network here is made of: convolution (with optional batch normalisation) and dropout."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from tljax.models import ops

NORM_EPSILON = 1e-3  # Keras's BatchNormalization
NORM_MOMENTUM = 0.9  # Keras has 0.99, which needs thousands of steps before the statistics mean anything


class Conv(nn.Module):
    """3 x 3 convolution, optional batch normalisation, relu, optional 2 x 2 max pooling.

    Returns `(activation, pooled)`: the activation before pooling, for those who want to look at it, and what the next
    layer gets. Bias, normalisation and relu come after the pooling where that gives the same bits for a quarter of the
    work: adding a bias and relu are monotone, so they commute with a maximum exactly.
    """

    features: int
    padding: str = "SAME"
    norm: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, pool: bool, frozen_statistics: bool = True) -> tuple[Array, Array]:
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.glorot_uniform(), shape).astype(self.dtype)
        y = ops.conv(x.astype(self.dtype), kernel, padding=self.padding)
        if self.norm:
            # A negative scale would not commute with the maximum, so normalisation stays before the pooling.
            y = nn.BatchNorm(
                use_running_average=frozen_statistics,
                momentum=NORM_MOMENTUM,
                epsilon=NORM_EPSILON,
                dtype=self.dtype,
                name="norm",
            )(y)
            bias = jnp.zeros((), self.dtype)
        else:
            bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        pooled = ops.max_pool(y) if pool else y
        return nn.relu(y + bias), nn.relu(pooled + bias)


def dropout(x: Array, *, rate: Array | float, keys: Array) -> Array:
    """Inverted dropout, one key per example: a mask depends on nothing but its own example's key.

    `x` `[N, ...]`, `keys` `[N]` typed keys, `rate` in [0, 1], traced or not. A rate of 1 gives zeros.
    """
    keep = jnp.asarray(1.0 - rate, x.dtype)
    mask = jax.vmap(lambda key: jax.random.bernoulli(key, keep.astype(jnp.float32), x.shape[1:]))(keys)
    return jnp.where(mask, x / jnp.where(keep > 0, keep, jnp.ones_like(keep)), jnp.zeros_like(x))
