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


@dataclasses.dataclass(frozen=True)
class Offsets:
    """Begin each window of running text at a random place: what a language model trains on.

    Hashable, so it can be a static argument of jit.
    """

    length: int  # tokens of what is cut out; a window has twice as many

    def __call__(
        self, windows: jax.Array, *, keys: jax.Array, strength: jax.Array | float = 1.0
    ) -> jax.Array:
        """Cut `[N, length]` out of windows `[N, 2 length]`, a function of the typed keys `[N]`."""
        del strength
        return self._cut(windows, keys, first=0)

    def following(
        self,
        windows: jax.Array,
        keys: jax.Array,
        strength: jax.Array | float = 1.0,
        maps: None = None,
    ) -> jax.Array:
        """Cut out of the same windows what follows each token that `__call__` cuts out."""
        del strength, maps  # as relabelling of images has them
        return self._cut(windows, keys, first=1)

    def _cut(self, windows: jax.Array, keys: jax.Array, *, first: int) -> jax.Array:
        def one(window: jax.Array, key: jax.Array) -> jax.Array:
            start = first + jax.random.randint(key, (), 0, self.length)
            return jax.lax.dynamic_slice(window, (start,), (self.length,))

        return jax.vmap(one)(windows, keys)


TextAugment = TokenDropout | Offsets
