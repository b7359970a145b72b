"""Augmentation of texts: dropped tokens, drawn from one key for each text."""

import dataclasses

import jax
import jax.numpy as jnp

from tljax.errors import InputError


@dataclasses.dataclass(frozen=True)
class TokenDropout:
    """Turn each token into padding with a probability, the first and last of a text never.

    Other tokens then do not see it, and a mean leaves it out. Iyyer et al. 2015, "Deep Unordered
    Composition", section 3.3. Hashable, so it can be a static argument of jit.
    """

    share: float = 0.1  # of the tokens

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:  # false for nan as well
            raise InputError(
                f"TokenDropout.share: expected a number from 0 to 1, found {self.share!r}"
            )

    def __call__(
        self, tokens: jax.Array, *, keys: jax.Array, strength: jax.Array | float = 1.0
    ) -> jax.Array:
        """Drop tokens of `[N, T]` at random, a function of the typed keys `[N]`, one for each."""
        share = jnp.minimum(self.share * strength, 1.0)
        length = tokens.shape[1]
        goes = jax.vmap(lambda key: jax.random.bernoulli(key, share, (length,)))(keys)
        places = jnp.arange(length)
        last = jnp.where(tokens != 0, places, 0).max(1, keepdims=True)
        return jnp.where(goes & (places > 0) & (places < last), 0, tokens)
