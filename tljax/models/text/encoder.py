"""What bases of tokens share: embeddings, then blocks, then one vector for a text."""

import abc
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.errors import InputError
from tljax.models.architecture import Cut
from tljax.models.text import tokens


class Encoder(nn.Module, abc.ABC, kw_only=True):
    """Tokens `[N, T]`, whole numbers of which 0 is padding, to features `[N, C]`.

    In training `dropout` times the rate follows the embeddings and, where a base has blocks, both
    branches of each.
    """

    between: Callable[[str | None, str | None], tuple[Cut, ...]]
    vocabulary: int = 4000
    dropout: float = 0.0
    frozen: frozenset[str] = frozenset()  # it has no batch statistics
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Array,
        *,
        train: bool = False,
        start: str | None = None,
        stop: str | None = None,
        rate: Array | float = 0.0,
        keys: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """Run the layers from `start` to `stop`, both included; see `Base`.

        "embed" and the blocks give `[N, T, C]`, zero for padding.
        """
        drop = tokens.Dropping(self.dropout * rate if train and self.dropout else None, keys)
        mask, out = tokens.real(x), dict[str, Array]()
        for cut in self.between(start, stop):
            if cut.name == "embed":
                x = tokens.only(drop(self.embed(x), place=0), mask)
            elif cut.name == "pool":
                x = self.pool(x.astype(self.dtype), mask)
            else:
                x = tokens.only(self.block(x.astype(self.dtype), mask, cut=cut, drop=drop), mask)
            out[cut.name] = x
        return x, out

    @abc.abstractmethod
    def embed(self, x: Array) -> Array:
        """Embed tokens: `[N, T]` to `[N, T, C]` in the dtype."""

    def block(self, x: Array, mask: Array, *, cut: Cut, drop: tokens.Dropping) -> Array:
        """Compute the block that ends in a cut, `[N, T, C]`, from `[N, T, C]`.

        InputError where the base has none.
        """
        raise InputError(f"{type(self).__name__}: expected a base with blocks, found {cut.name!r}")

    def pool(self, x: Array, mask: Array) -> Array:
        """Summarise the tokens of a text: `[N, T, C]` to `[N, C]`, their mean."""
        del mask  # padding is zero
        return tokens.mean(x)


def number_of(cut: Cut) -> int:
    """Return the number of the block that ends in a cut, from 1."""
    return int(cut.name.removeprefix("block"))
