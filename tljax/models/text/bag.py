"""A bag of words: the mean of embeddings, for training from scratch on texts.

Joulin et al., "Bag of Tricks for Efficient Text Classification", 2016, arXiv 1607.01759.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.models.architecture import Architecture, Cut, tokens_of
from tljax.models.text import tokens


class Bag(nn.Module):
    """The mean of the embeddings of the tokens that are no padding: `[N, T]` to `[N, width]`."""

    between: Callable[[str | None, str | None], tuple[Cut, ...]]
    vocabulary: int = 4000
    width: int = 128
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
        """Run the layers from `start` to `stop`, both included; see `Base`."""
        del train, rate, keys
        mask, out = tokens.real(x), dict[str, Array]()
        for cut in self.between(start, stop):
            if cut.name == "embed":
                words = nn.Embed(
                    self.vocabulary,
                    self.width,
                    embedding_init=nn.initializers.normal(0.1),
                    name="embed_words",
                )
                x = tokens.only(words(x).astype(self.dtype), mask)
            else:
                x = tokens.mean(x.astype(self.dtype))
            out[cut.name] = x
        return x, out


def _architecture() -> Architecture:
    whole = Architecture(
        name="bag",
        cuts=(Cut("embed", ("embed_words",), "embed"), Cut("pool")),
        make=functools.partial(Bag, lambda start, stop: whole.between(start, stop)),
        options={"vocabulary": 4000, "width": 128},
        least_size=8,
        pretrained=False,
        example=tokens_of,
    )
    return whole


BAG = _architecture()
