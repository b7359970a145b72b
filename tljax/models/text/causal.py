"""A small causal transformer: a language model, and with it ULMFiT's procedure.

Radford et al., "Language Models are Unsupervised Multitask Learners", 2019 (GPT-2's blocks); the
pooling is that of Howard and Ruder, "Universal Language Model Fine-tuning", 2018, arXiv 1801.06146,
section 3.3. It is ULMFiT's procedure and not its network, which is three LSTMs.
"""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from tljax.models.architecture import Architecture, Cut, tokens_of
from tljax.models.text import tokens
from tljax.models.text.encoder import Encoder, number_of

NORM_EPSILON = 1e-5
BLOCKS, HEAD_UNITS = 4, 32
LAST = f"block{BLOCKS}"  # what a head of the next token reads


class Causal(Encoder, kw_only=True):
    """A causal transformer and a summary of its tokens: `[N, T]` whole numbers to `[N, 3 width]`.

    Padding may be behind the text or in it. The summary is the last token, the mean and the largest
    of each channel.
    """

    width: int = 128
    positions: int = 128

    def embed(self, x: Array) -> Array:
        """Add up the embeddings of tokens and places."""
        embed = tokens.Embed(self.vocabulary, self.positions, self.width, name="embed_tokens")
        return embed(x, dtype=jnp.dtype(self.dtype))

    def block(self, x: Array, mask: Array, *, cut: Cut, drop: tokens.Dropping) -> Array:
        """Compute `[N, T, C]`; the last block's is normalised."""
        layer = Layer(self.width // HEAD_UNITS, name=cut.modules[0])
        x = layer(x, mask, drop=drop, place=number_of(cut))
        return tokens.layer_norm(x, NORM_EPSILON, cut.modules[1]) if cut.name == LAST else x

    def pool(self, x: Array, mask: Array) -> Array:
        """Concatenate the last real token, the mean and the maximum: `[N, T, C]` to `[N, 3 C]`."""
        places = jnp.arange(x.shape[1])
        last = jnp.where(mask, places, 0).max(-1)
        ends = jnp.take_along_axis(x, last[:, None, None], axis=1)[:, 0]
        most = jnp.where(mask[..., None], x, jnp.finfo(x.dtype).min).max(1)
        most = jnp.where(mask.any(-1, keepdims=True), most, jnp.zeros_like(most))
        return jnp.concatenate([ends, tokens.mean(x), most], axis=-1)


class Layer(nn.Module):
    """A block of GPT-2: attention, then two dense layers, each normalised before and added."""

    heads: int

    @nn.compact
    def __call__(self, x: Array, mask: Array, *, drop: tokens.Dropping, place: int) -> Array:
        """Compute `[N, T, C]`; `place` is the number of the block, from 1."""
        attention = tokens.Attention(self.heads, causal=True, name="attention")
        y = attention(tokens.layer_norm(x, NORM_EPSILON, "norm1"), mask)
        x = x + drop(y, place=2 * place)
        y = tokens.dense(tokens.layer_norm(x, NORM_EPSILON, "norm2"), 4 * x.shape[-1], "fc1")
        return x + drop(tokens.dense(nn.gelu(y), x.shape[-1], "fc2"), place=2 * place + 1)


def _architecture() -> Architecture:
    numbers = range(1, BLOCKS + 1)
    norm = {BLOCKS: (f"{LAST}_norm",)}
    whole = Architecture(
        name="causal",
        cuts=(
            Cut("embed", ("embed_tokens",), "embed"),
            *(
                Cut(f"block{i}", (f"block{i}_layer", *norm.get(i, ())), f"block{i}")
                for i in numbers
            ),
            Cut("pool"),
        ),
        make=functools.partial(Causal, between=lambda start, stop: whole.between(start, stop)),
        options={"vocabulary": 4000, "width": 128, "positions": 128, "dropout": 0.0},
        least_size=8,
        fine_tune=f"block{BLOCKS - 1}",
        example=tokens_of,
    )
    return whole


CAUSAL = _architecture()
