"""The order and the randomness of training examples: functions of position in a stream alone."""

import jax
import numpy as np
from jax import Array

_SHUFFLE = 0x5F  # separates this stream from others of the same seed
_AUGMENT = 0  # the root of augmentation for every seed: all runs can share augmented photographs


def draws(start: int, count: int, *, examples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return draws `start` to `start + count` of an endless stream: `(passes, example)`.

    Both are int32 `[count]`. Pass p goes through all `examples` once, in its own order for the
    seed. An example's augmentation is keyed by (pass, example), its dropout by (seed, pass,
    example): neither depends on batch size, devices or where a run was resumed.
    """
    position = np.arange(start, start + count)
    passes = position // examples
    example = np.empty(count, np.int32)
    for p in np.unique(passes):
        order = np.random.Generator(
            np.random.Philox(key=[seed, _SHUFFLE], counter=int(p) << 64)
        ).permutation(examples)
        here = passes == p
        example[here] = order[position[here] % examples]
    return passes.astype(np.int32), example


def augment_keys(passes: Array, example: Array, *, stream: int | None = None) -> Array:
    """Make keys for augmentation `[B]`, functions of pass and example alone.

    They are the same for every seed. Augmented views through a frozen base are therefore made once
    for all seeds. Seeds are independent in their order, dropout and first parameters; an interval
    over them does not cover the choice of augmentations. `stream` separates a second set of
    photographs.
    """
    root = jax.random.key(_AUGMENT)
    return _keys(root if stream is None else jax.random.fold_in(root, stream), passes, example)[0]


def dropout_keys(root: Array, passes: Array, example: Array) -> Array:
    """Make keys for dropout `[B]`: functions of `root = key(seed)`, pass and example."""
    return _keys(root, passes, example)[1]


def _keys(root: Array, passes: Array, example: Array) -> tuple[Array, Array]:
    """Split each example's key in two, one for augmentation and one for dropout.

    The two are never the same, not even for seed 0, whose root is that of augmentation.
    """

    def fold(p: Array, e: Array) -> Array:
        return jax.random.split(jax.random.fold_in(jax.random.fold_in(root, p), e))

    keys = jax.vmap(fold)(passes, example)
    return keys[:, 0], keys[:, 1]
