"""A small causal transformer: a language model, and with it ULMFiT's procedure.

Radford et al., "Language Models are Unsupervised Multitask Learners", 2019 (GPT-2's blocks); the
pooling is that of Howard and Ruder, "Universal Language Model Fine-tuning", 2018, arXiv 1801.06146,
section 3.3. It is ULMFiT's procedure and not its network, which is three LSTMs.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.models.architecture import Architecture, Cut, tokens_of
from tljax.models.text import tokens

NORM_EPSILON = 1e-5
BLOCKS, HEAD_UNITS = 4, 32
LAST = f"block{BLOCKS}"  # what a head of the next token reads


class Causal(nn.Module):
    """A causal transformer and a summary of its tokens: `[N, T]` whole numbers to `[N, 3 width]`.

    Token 0 is padding, behind the text or in it. The summary is the last token, the mean and the
    largest of each channel. In training `dropout` times the rate follows the embeddings and both
    branches of each block.
    """

    between: Callable[[str | None, str | None], tuple[Cut, ...]]
    vocabulary: int = 4000
    width: int = 128
    positions: int = 128
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

        "embed" and the blocks give `[N, T, C]`, zero for padding; the last block's are normalised.
        """
        drop = tokens.Dropping(self.dropout * rate if train and self.dropout else None, keys)
        mask, out = tokens.real(x), dict[str, Array]()
        for cut in self.between(start, stop):
            if cut.name == "embed":
                embed = tokens.Embed(
                    self.vocabulary, self.positions, self.width, name=cut.modules[0]
                )
                x = drop(embed(x, dtype=jnp.dtype(self.dtype)), place=0)
            elif cut.name == "pool":
                x = _summary(x.astype(self.dtype), mask)
            else:
                place = int(cut.name.removeprefix("block"))
                layer = Layer(self.width // HEAD_UNITS, name=cut.modules[0])
                x = layer(x.astype(self.dtype), mask, drop=drop, place=place)
                if cut.name == LAST:
                    x = tokens.layer_norm(x, NORM_EPSILON, cut.modules[1])
            if cut.name != "pool":
                x = tokens.only(x, mask)
            out[cut.name] = x
        return x, out


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


def _summary(x: Array, mask: Array) -> Array:
    """Concatenate the last real token, the mean and the maximum: `[N, T, C]` to `[N, 3 C]`."""
    places = jnp.arange(x.shape[1])
    last = jnp.where(mask, places, 0).max(-1)
    ends = jnp.take_along_axis(x, last[:, None, None], axis=1)[:, 0]
    most = jnp.where(mask[..., None], x, jnp.finfo(x.dtype).min).max(1)
    most = jnp.where(mask.any(-1, keepdims=True), most, jnp.zeros_like(most))
    return jnp.concatenate([ends, tokens.mean(x), most], axis=-1)


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
        make=functools.partial(Causal, lambda start, stop: whole.between(start, stop)),
        options={"vocabulary": 4000, "width": 128, "positions": 128, "dropout": 0.0},
        least_size=8,
        fine_tune=f"block{BLOCKS - 1}",
        example=tokens_of,
    )
    return whole


CAUSAL = _architecture()
