"""The order in which training sees its photographs, and how each draw is varied: functions of position alone."""

import jax
import numpy as np
from jax import Array

_SHUFFLE = 0x5F  # keeps this stream apart from others made of the same seed
_AUGMENT = 0  # the root of all augmentation, whatever the seed: what one run makes of a photograph, all can use


def draws(start: int, count: int, *, examples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws `start` to `start + count` of an endless stream: `(passes, example)`, int32 `[count]` each.

    Pass p goes through all `examples` once, in an order of its own by the seed; an example's augmentation is keyed by
    (pass, example), its dropout by (seed, pass, example): neither depends on batch size, devices or where a run was
    resumed.
    """
    position = np.arange(start, start + count)
    passes = position // examples
    example = np.empty(count, np.int32)
    for p in np.unique(passes):
        order = np.random.Generator(np.random.Philox(key=[seed, _SHUFFLE], counter=int(p) << 64)).permutation(examples)
        here = passes == p
        example[here] = order[position[here] % examples]
    return passes.astype(np.int32), example


def augment_keys(passes: Array, example: Array, *, stream: int | None = None) -> Array:
    """Keys for augmentation `[B]`: functions of pass and example alone, the same for every seed.

    So augmented views through a frozen base are made once for all seeds. Seeds are independent in their order, dropout
    and first parameters; an interval over them does not cover the choice of augmentations. `stream` keeps a second set
    of photographs apart.
    """
    root = jax.random.key(_AUGMENT)
    return _keys(root if stream is None else jax.random.fold_in(root, stream), passes, example)[0]


def dropout_keys(root: Array, passes: Array, example: Array) -> Array:
    """Keys for dropout `[B]`: functions of `root = key(seed)`, pass and example."""
    return _keys(root, passes, example)[1]


def _keys(root: Array, passes: Array, example: Array) -> tuple[Array, Array]:
    """Halves that are never the same, not even for seed 0, whose root is that of augmentation."""

    def fold(p: Array, e: Array) -> Array:
        return jax.random.split(jax.random.fold_in(jax.random.fold_in(root, p), e))

    keys = jax.vmap(fold)(passes, example)
    return keys[:, 0], keys[:, 1]
