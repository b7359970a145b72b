"""Bounds of this machine: the rates of a matrix product and of a copy, compiled by JAX."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from tljax.benchmark.rows import Settings
from tljax.benchmark.timing import Contender

_COPIED = 1 << 26  # number of values: more than any cache holds


def _matrix_product(settings: Settings) -> Contender:
    """Multiply square matrices in the dtype of the run."""
    n = settings.matrix
    x = jax.random.normal(jax.random.key(0), (n, n), jnp.dtype(settings.dtype))
    product = jax.jit(jnp.matmul)

    def call() -> None:
        product(x, x).block_until_ready()

    return Contender(call, {"flops": 2.0 * n**3})


def _copy(settings: Settings) -> Contender:
    """Read and write each value once.

    The sign flips, because a plain copy could be optimised away.
    """
    x = jnp.ones(min(_COPIED, settings.matrix**2), jnp.float32)
    negative = jax.jit(jnp.negative)

    def call() -> None:
        negative(x).block_until_ready()

    return Contender(call, {"bytes": 2.0 * x.nbytes})


MAKERS: dict[str, Callable[[Settings], Contender]] = {
    "matrix product": _matrix_product,
    "copy": _copy,
}
