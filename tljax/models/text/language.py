"""The head of a language model: the next token at each place."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.models.text import causal, tokens


class LanguageHead(nn.Module):
    """One dense layer on the last block of a causal transformer: logits `[N, T, outputs]` f32."""

    outputs: int
    reads: tuple[str, ...] = (causal.LAST,)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Array,
        *,
        activations: dict[str, Array],
        train: bool = False,
        rate: Array | float = 0.0,
        keys: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """Compute the logits and the named activations; the base's output `x` is not used."""
        del x, train, rate, keys
        (last,) = (activations[name] for name in self.reads)
        logits = tokens.dense(last.astype(self.dtype), self.outputs, "predictions")
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        return logits, {"predictions": logits}
