"""Heads on the output of a base, and on the means of its layers: features to logits."""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.errors import InputError
from tljax.models.layers import dropout
from tljax.models.text import tokens


class Head(nn.Module):
    """Flatten, dropout, dense with relu, dropout, dense.

    Maps features `[N, ...]` to `(logits [N, outputs] f32, out)`. `outputs` is 1 for two classes (a
    sigmoid), else the number of classes (a softmax). `hidden=0` is a linear probe. The lecture's
    dropout is before the hidden layer in the network from scratch, and after it on saved features.

    With `norm` each example's features are first divided by their root mean square (`rms_norm`).
    Those of VGG16's ImageNet weights have a standard deviation of 15, from which a head learns to
    be certain before it learns to be right.

    `reads` names layers of the base whose means over places stand before the base's output; with
    `norm` each part is divided by its own root mean square.
    """

    outputs: int
    hidden: int = 256
    dropout_flat: bool = False
    dropout_hidden: bool = False
    norm: bool = False
    reads: tuple[str, ...] = ()
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Array,
        *,
        activations: Mapping[str, Array] | None = None,
        train: bool = False,
        rate: Array | float = 0.0,
        keys: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """Compute the logits and the named activations.

        `activations` are those of `reads`, or their means over places. `rate` is the dropout rate,
        traced or not; `keys` `[N]`, one per example, are needed when dropout is on.
        """
        out: dict[str, Array] = {}
        if 0 in x.shape[1:]:
            raise InputError(
                f"the images are too small for the base: it leaves features of {x.shape[1:]}"
            )
        x = self.joined(x.astype(self.dtype), activations or {})
        if train and self.dropout_flat:
            x = dropout(x, rate=rate, keys=needed(keys))
        if self.hidden:
            x = out["fc1"] = nn.relu(_dense(self.hidden, self.dtype, "fc1")(x))
            if train and self.dropout_hidden:
                x = dropout(x, rate=rate, keys=needed(keys))
        logits = _dense(self.outputs, self.dtype, "predictions")(x)
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        out["predictions"] = logits
        return logits, out

    def joined(self, x: Array, activations: Mapping[str, Array]) -> Array:
        """Join what the first dense layer sees: a row for each example, in the dtype of `x`."""
        each = parts(x, activations, reads=self.reads)
        normed = [rms_norm(part) if self.norm else part for part in each]
        return normed[0] if len(normed) == 1 else jnp.concatenate(normed, axis=-1)


def parts(x: Array, activations: Mapping[str, Array], *, reads: Sequence[str]) -> list[Array]:
    """List the means of layers by name, then the base's flattened output: `[N, D]` each."""
    means = [mean_over_places(activations[name]).astype(x.dtype) for name in reads]
    return [*means, x.reshape(x.shape[0], -1)]


def rms_norm(x: Array) -> Array:
    """Divide each row of `[N, D]` by its root mean square.

    Zhang and Sennrich 2019, arXiv 1910.07467, without gains.
    """
    rows = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (rows * jax.lax.rsqrt(jnp.square(rows).mean(axis=-1, keepdims=True) + 1e-6)).astype(
        x.dtype
    )


class Top(nn.Module):
    """VGG16's own classifier with Keras's layer names: Flatten, fc1, fc2, predictions.

    Each hidden layer has relu and dropout. Maps features `[N, 7, 7, 512]` to `(logits [N, outputs]
    f32, out)`; Keras's model ends in their softmax.
    """

    outputs: int = 1000
    hidden: int = 4096
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Array, *, train: bool = False, rate: Array | float = 0.0, keys: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """Compute the logits and the named activations.

        Dropout at `rate` follows both hidden layers; the paper's rate is 0.5. `keys` `[N]` are
        needed when `train` is set.
        """
        out: dict[str, Array] = {}
        x = x.reshape(x.shape[0], -1).astype(self.dtype)
        for i, name in enumerate(("fc1", "fc2")):
            x = out[name] = nn.relu(_dense(self.hidden, self.dtype, name)(x))
            if train:
                layer_keys = jax.vmap(lambda key, i=i: jax.random.fold_in(key, i))(needed(keys))
                x = dropout(x, rate=rate, keys=layer_keys)
        logits = _dense(self.outputs, self.dtype, "predictions")(x)
        logits = out["predictions"] = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        return logits, out


def mean_over_places(x: Array) -> Array:
    """Average a map `[N, h, w, C]`, or the tokens `[N, T, C]` that are no padding: `[N, C]`.

    `[N, C]`, a mean already, stays.
    """
    if x.ndim == 2:
        return x
    return tokens.mean(x) if x.ndim == 3 else x.mean((1, 2))


def _dense(features: int, dtype: DTypeLike, name: str) -> nn.Dense:
    return nn.Dense(features, dtype=dtype, kernel_init=nn.initializers.glorot_uniform(), name=name)


def needed(keys: Array | None) -> Array:
    """Return the keys; ValueError where there are none."""
    if keys is None:
        raise ValueError("dropout in training needs `keys`, one per example")
    return keys
