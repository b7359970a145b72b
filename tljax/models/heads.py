"""Heads, and classifiers of a base and a head: `params["base"]`, `params["head"]`."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

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


def reads_of(head: nn.Module) -> tuple[str, ...]:
    """Name the base's layers whose activations a head takes, besides the base's output."""
    return getattr(head, "reads", ())


def kept_as(head: nn.Module) -> Callable[[Array], Array]:
    """Return how much of an activation that a head reads has to be kept: its mean, or all of it."""
    return mean_over_places if isinstance(head, Head) else whole


def mean_over_places(x: Array) -> Array:
    """Average a map `[N, h, w, C]`, or the tokens `[N, T, C]` that are no padding: `[N, C]`.

    `[N, C]`, a mean already, stays.
    """
    if x.ndim == 2:
        return x
    return tokens.mean(x) if x.ndim == 3 else x.mean((1, 2))


def whole(x: Array) -> Array:
    """Return an activation as it is."""
    return x


class Kept(NamedTuple):
    """Activations of a prefix: the input of the next layer, and what a head reads, by name."""

    x: Array
    read: dict[str, Array]


class Classifier(nn.Module):
    """A base, then a head: `[N, H, W, 3]`, or tokens `[N, T]`, -> `(logits, out)`.

    `out` is keyed `base/LAYER` and `head/LAYER`. A head with `reads`, names of layers of the base,
    is called with their `activations` by name; a frozen prefix that has some hands them over.
    """

    base: nn.Module
    head: nn.Module

    def __call__(
        self,
        x: Array | Kept,
        *,
        train: bool = False,
        rate: Array | float = 0.0,
        keys: Array | None = None,
        start: str | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """Compute the logits and the named activations.

        `start` names the first layer to run when `x` is a cached activation, or several: a layer of
        the base, or "head".
        """
        out: dict[str, Array] = {}
        x, read = x if isinstance(x, Kept) else (x, {})
        if start != "head":
            x, base_out = self.base(x, train=train, start=start, rate=rate, keys=keys)
            out |= {f"base/{name}": value for name, value in base_out.items()}
        if reads := reads_of(self.head):
            ran = {name: out[f"base/{name}"] for name in reads if f"base/{name}" in out}
            known = {**read, **ran}
            logits, head_out = self.head(x, train=train, rate=rate, keys=keys, activations=known)
        else:
            logits, head_out = self.head(x, train=train, rate=rate, keys=keys)
        return logits, out | {f"head/{name}": value for name, value in head_out.items()}


class TwoHeaded(Classifier):
    """A classifier with a second head, `params["other"]`, on the same base.

    Hard parameter sharing (Caruana 1997).
    """

    other: nn.Module

    def __call__(
        self,
        x: Array | Kept,
        *,
        train: bool = False,
        rate: Array | float = 0.0,
        keys: Array | None = None,
        start: str | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """Run the classifier alone; initialisation makes parameters for both heads."""
        if self.is_initializing():
            self.other(self.base(x)[0])
        return super().__call__(x, train=train, rate=rate, keys=keys, start=start)

    def together(
        self,
        x: Array,
        *,
        own: int,
        train: bool = False,
        rate: Array | float = 0.0,
        keys: Array | None = None,
        start: str | None = None,
    ) -> tuple[Array, Array]:
        """Return the head's logits for the first `own` rows and the other head's for the rest.

        The base runs once on all rows, so batch statistics are those of the mixture, as they are
        when the network is used.
        """
        if start != "head":
            x, _ = self.base(x, train=train, start=start, rate=rate, keys=keys)
        own_keys, other_keys = (None, None) if keys is None else (keys[:own], keys[own:])
        logits, _ = self.head(x[:own], train=train, rate=rate, keys=own_keys)
        return logits, self.other(x[own:], train=train, rate=rate, keys=other_keys)[0]


def _dense(features: int, dtype: DTypeLike, name: str) -> nn.Dense:
    return nn.Dense(features, dtype=dtype, kernel_init=nn.initializers.glorot_uniform(), name=name)


def needed(keys: Array | None) -> Array:
    """Return the keys; ValueError where there are none."""
    if keys is None:
        raise ValueError("dropout in training needs `keys`, one per example")
    return keys
