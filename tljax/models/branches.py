"""Stochastic depth of a whole network: which residual branches are dropped, and how often."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
from jax import Array

from tljax.models.layers import drop_branch

Drop = Callable[[Array], Array]


@dataclass(frozen=True)
class Branches:
    """The dropping of residual branches in one pass through a network.

    The branches of the last of `blocks` blocks are dropped at the rate `most`, those of others in
    proportion to their depth, the first block's never: the linear rule of Huang et al. 2016, arXiv
    1603.09382. With None nothing is dropped. `keys` `[N]` are typed keys, one per example.
    """

    blocks: int
    most: Array | float | None = None
    keys: Array | None = None

    def drop(self, block: int, branch: int = 0) -> Drop:
        """Return what drops a branch of a block, counted from 0, with keys of its own.

        ValueError where keys are needed and there are none.
        """
        if self.most is None or block == 0:
            return lambda x: x
        if self.keys is None:
            raise ValueError("dropping branches in training needs `keys`, one per example")
        number, rate = 2 * block + branch, self.most * (block / (self.blocks - 1))
        keys = jax.vmap(lambda key: jax.random.fold_in(key, number))(self.keys)
        return lambda x: drop_branch(x, rate=rate, keys=keys)
