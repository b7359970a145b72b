"""Classifiers of a base and a head: `params["base"]`, `params["head"]`; from any layer on."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
from jax import Array

from tljax.models.heads import Head, mean_over_places


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


def reads_of(head: nn.Module) -> tuple[str, ...]:
    """Name the base's layers whose activations a head takes, besides the base's output."""
    return getattr(head, "reads", ())


def kept_as(head: nn.Module) -> Callable[[Array], Array]:
    """Return how much of an activation that a head reads has to be kept: its mean, or all of it."""
    return mean_over_places if isinstance(head, Head) else whole


def whole(x: Array) -> Array:
    """Return an activation as it is."""
    return x
