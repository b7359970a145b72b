"""What networks of tokens share: padding, embeddings, attention, dropout, the mean of a sentence.

Padding is token 0, and activations of zeros: every cut sets them, so that a network started in the
middle knows from its input alone which places are real. Real activations are never all zero.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from tljax.errors import InputError
from tljax.models.layers import dropout

PADDING = 0


def real(x: Array) -> Array:
    """Tell which places are no padding: bool `[N, T]`, of tokens `[N, T]` or `[N, T, C]`."""
    return x != PADDING if x.ndim == 2 else jnp.any(x != 0, axis=-1)


def only(x: Array, mask: Array) -> Array:
    """Set activations `[N, T, C]` to zero where the mask `[N, T]` is false."""
    return jnp.where(mask[..., None], x, jnp.zeros_like(x))


def mean(x: Array) -> Array:
    """Average `[N, T, C]` over the places that are no padding: `[N, C]`; zeros where all are."""
    count = real(x).sum(-1, keepdims=True)
    return x.sum(1) / jnp.maximum(count, 1).astype(x.dtype)


def normal_init() -> nn.initializers.Initializer:
    """Draw parameters as BERT's and GPT-2's makers did: deviation 0.02."""
    return nn.initializers.truncated_normal(0.02)


@dataclass(frozen=True)
class Dropping:
    """Dropout at places of a network, counted from 0: keys `[N]`, one per example, or None."""

    rate: Array | float | None = None
    keys: Array | None = None

    def __call__(self, x: Array, *, place: int) -> Array:
        """Apply dropout; ValueError where keys are needed and there are none."""
        if self.rate is None:
            return x
        if self.keys is None:
            raise ValueError("dropout in training needs `keys`, one per example")
        keys = jax.vmap(lambda key: jax.random.fold_in(key, place))(self.keys)
        return dropout(x, rate=self.rate, keys=keys)


class Embed(nn.Module):
    """Add up the embeddings of tokens and of their places: `[N, T]` to `[N, T, width]`.

    With `types` there are as many of them; every token is of the first. With `norm` the sum is
    normalised with this epsilon.
    """

    vocabulary: int
    positions: int
    width: int
    types: int = 0
    norm: float | None = None

    @nn.compact
    def __call__(self, x: Array, *, dtype: jnp.dtype) -> Array:
        """Embed tokens; InputError for more of them than there are places."""
        if x.shape[1] > self.positions:
            raise InputError(
                f"texts of {x.shape[1]} tokens: expected at most {self.positions}, as many as the "
                "base has places for"
            )
        words = self.param("words", normal_init(), (self.vocabulary, self.width))
        places = self.param("positions", normal_init(), (self.positions, self.width))
        y = words[x] + places[: x.shape[1]]
        if self.types:
            y = y + self.param("types", normal_init(), (self.types, self.width))[0]
        y = y.astype(dtype)
        return y if self.norm is None else layer_norm(y, self.norm, "norm")


class Attention(nn.Module):
    """Attention between the tokens that are no padding; `causal`: to earlier ones and itself."""

    heads: int
    causal: bool = False

    @nn.compact
    def __call__(self, x: Array, mask: Array) -> Array:
        """Compute `[N, T, C]` from `[N, T, C]` and the mask `[N, T]` of real places."""
        shape = (*x.shape[:2], self.heads, x.shape[-1] // self.heads)
        query, key, value = (
            dense(x, x.shape[-1], name).reshape(shape) for name in ("query", "key", "value")
        )
        mixed = jax.nn.dot_product_attention(
            query, key, value, mask=mask[:, None, None, :], is_causal=self.causal
        )
        return dense(mixed.reshape(x.shape), x.shape[-1], "out")


def dense(x: Array, features: int, name: str) -> Array:
    """Apply a dense layer of this name, inside a compact method."""
    return nn.Dense(features, dtype=x.dtype, kernel_init=normal_init(), name=name)(x)


def layer_norm(x: Array, epsilon: float, name: str) -> Array:
    """Normalise each token, inside a compact method."""
    # The variance as it is defined: a difference of means loses digits where the mean is large.
    return nn.LayerNorm(epsilon, dtype=x.dtype, use_fast_variance=False, name=name)(x)
