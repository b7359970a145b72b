"""The order in which training sees its photographs: a function of seed and position, and of nothing else."""

import jax
import numpy as np
from jax import Array

_SHUFFLE = 0x5F  # keeps this stream apart from others made of the same seed


def draws(start: int, count: int, *, examples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws `start` to `start + count` of an endless stream: `(passes, example)`, int32 `[count]` each.

    Pass p goes through all `examples` once, in an order of its own; an example's augmentation and dropout are keyed by
    (seed, pass, example), so they do not depend on batch size, devices or where a run was resumed.
    """
    position = np.arange(start, start + count)
    passes = position // examples
    example = np.empty(count, np.int32)
    for p in np.unique(passes):
        order = np.random.Generator(np.random.Philox(key=[seed, _SHUFFLE], counter=int(p) << 64)).permutation(examples)
        here = passes == p
        example[here] = order[position[here] % examples]
    return passes.astype(np.int32), example


def example_keys(root: Array, passes: Array, example: Array) -> tuple[Array, Array]:
    """Keys for augmentation and for dropout, `[B]` each: functions of `root = key(seed)`, pass and example alone."""

    def fold(p: Array, e: Array) -> Array:
        return jax.random.split(jax.random.fold_in(jax.random.fold_in(root, p), e))

    keys = jax.vmap(fold)(passes, example)
    return keys[:, 0], keys[:, 1]
