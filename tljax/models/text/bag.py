"""A bag of words: the mean of embeddings, for training from scratch on texts.

Joulin et al., "Bag of Tricks for Efficient Text Classification", 2016, arXiv 1607.01759.
"""

import functools

import flax.linen as nn
from jax import Array

from tljax.models.architecture import Architecture, Cut, tokens_of
from tljax.models.text.encoder import Encoder


class Bag(Encoder, kw_only=True):
    """The mean of the embeddings of the tokens that are no padding: `[N, T]` to `[N, width]`."""

    width: int = 128

    def embed(self, x: Array) -> Array:
        """Embed tokens: `[N, T]` to `[N, T, width]`."""
        drawn = nn.initializers.normal(0.1)
        words = nn.Embed(self.vocabulary, self.width, embedding_init=drawn, name="embed_words")
        return words(x).astype(self.dtype)


def _architecture() -> Architecture:
    whole = Architecture(
        name="bag",
        cuts=(Cut("embed", ("embed_words",), "embed"), Cut("pool")),
        make=functools.partial(Bag, between=lambda start, stop: whole.between(start, stop)),
        options={"vocabulary": 4000, "width": 128},
        least_size=8,
        pretrained=False,
        example=tokens_of,
    )
    return whole


BAG = _architecture()
