"""Layers of several networks: convolution, batch normalisation, dropout, dropout of branches."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.models import ops
from tljax.models.norms import BatchNorm

NORM_EPSILON = 1e-3  # Keras's BatchNormalization
# Keras has 0.99, which needs thousands of steps before the statistics mean anything.
NORM_MOMENTUM = 0.9


class Conv(nn.Module):
    """3 x 3 convolution, optional batch normalisation, relu, optional 2 x 2 max pooling.

    Returns `(activation, pooled)`: the activation before pooling, for inspection, and the input of
    the next layer. Normalisation comes before the pooling, bias and relu after it: both are
    monotone, so they commute with a maximum exactly, and the bits are the same for a quarter of the
    work.
    """

    features: int
    padding: str = "SAME"
    norm: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Array, *, pool: bool, frozen_statistics: bool = True
    ) -> tuple[Array, Array]:
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.glorot_uniform(), shape).astype(self.dtype)
        y = ops.conv(x.astype(self.dtype), kernel, padding=self.padding)
        if self.norm:
            # A negative scale would not commute with the maximum, so normalisation comes before
            # the pooling.
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
    """Apply inverted dropout with one key per example: a mask depends on its example's key alone.

    `x` is `[N, ...]`, `keys` `[N]` typed keys, `rate` in [0, 1], traced or not. A rate of 1 gives
    zeros.
    """
    keep = jnp.asarray(1.0 - rate, x.dtype)
    mask = jax.vmap(lambda key: jax.random.bernoulli(key, keep.astype(jnp.float32), x.shape[1:]))(
        keys
    )
    return jnp.where(mask, x / jnp.where(keep > 0, keep, jnp.ones_like(keep)), jnp.zeros_like(x))


def batch_norm(
    x: Array, *, name: str, train: bool, frozen: frozenset[str], epsilon: float, momentum: float
) -> Array:
    """Normalise by batch statistics, inside a compact method, as a module called `name`.

    The running statistics `batch_stats/NAME/{mean, var}` are used in evaluation, and in training
    too where `frozen` has the name: they then do not move. The dtype is that of `x`.
    """
    fixed = not train or name in frozen
    return BatchNorm(epsilon, momentum, name=name)(x, use_running_average=fixed)


def drop_branch(x: Array, *, rate: Array | float, keys: Array) -> Array:
    """Drop a residual branch for whole examples, with one key each: stochastic depth.

    `x` is `[N, ...]`, `keys` `[N]` typed keys, `rate` in [0, 1], traced or not; what stays is
    divided by the share that stays. Huang et al. 2016, arXiv 1603.09382.
    """
    keep = jnp.asarray(1.0 - rate, jnp.float32)
    stays = jax.vmap(lambda key: jax.random.bernoulli(key, keep))(keys)
    scale = jnp.where(stays, 1.0 / jnp.where(keep > 0, keep, 1.0), 0.0).astype(x.dtype)
    return x * scale.reshape(-1, *(1,) * (x.ndim - 1))
