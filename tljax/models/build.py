"""Networks as data, the Flax modules they describe, and fresh variables."""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.errors import InputError
from tljax.models.cnn import CNN
from tljax.models.heads import Classifier, Head, TwoHeaded, outputs_for
from tljax.models.vgg import VGG16
from tljax.tree import Variables

BASES, PADDINGS = ("cnn", "vgg16"), ("VALID", "SAME")


@dataclass(frozen=True)
class Network:
    """A base and a head. The defaults are the lecture's rung 3."""

    base: str = "vgg16"  # or cnn, the lecture's network from scratch
    width: float = 1.0  # VGG16: channels times this
    norm: bool = False  # VGG16: batch normalisation, for pretraining
    padding: str = "VALID"  # CNN: SAME takes images under 46 x 46
    hidden: int = 256  # units of the head's hidden layer; 0 is a linear probe
    dropout_flat: bool = False  # dropout before the hidden layer
    dropout_hidden: bool = False  # dropout after the hidden layer
    feature_norm: bool = False  # divide each example's features by their root mean square


def classifier(
    network: Network,
    *,
    classes: int,
    frozen: frozenset[str] = frozenset(),
    dtype: DTypeLike = jnp.float32,
) -> Classifier:
    """Build the module for a number of classes.

    `frozen` names layers of the base whose batch statistics stay fixed, with or without the `base/`
    prefix of `optim.rules.frozen_layers`.
    """
    if network.padding not in PADDINGS:
        raise InputError(f"unknown padding {network.padding!r}; VALID or SAME")
    if network.base == "cnn":
        base: nn.Module = CNN(padding=network.padding, dtype=dtype)
    elif network.base == "vgg16":
        still = frozenset(layer.removeprefix("base/") for layer in frozen)
        base = VGG16(width=network.width, norm=network.norm, frozen=still, dtype=dtype)
    else:
        raise InputError(f"unknown base {network.base!r}; cnn or vgg16")
    head = Head(
        outputs=outputs_for(classes),
        hidden=network.hidden,
        dropout_flat=network.dropout_flat,
        dropout_hidden=network.dropout_hidden,
        norm=network.feature_norm,
        dtype=dtype,
    )
    return Classifier(base=base, head=head)


def two_headed(
    network: Network, *, classes: int, others: int, dtype: DTypeLike = jnp.float32
) -> TwoHeaded:
    """Build the module with a second, linear head for a task of `others` classes."""
    single = classifier(network, classes=classes, dtype=dtype)
    other = Head(outputs=outputs_for(others), hidden=0, dtype=dtype)
    return TwoHeaded(base=single.base, head=single.head, other=other)


def init(module: Classifier, *, key: Array, size: int) -> Variables:
    """Make fresh variables for `size` x `size` images: `{"params": {"base", "head"}}`.

    With `norm` there are `batch_stats` too.
    """
    # Run once, so compiled without optimisation: with it, XLA on CPU spends ten times longer on the
    # random draws.
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    return jax.jit(module.init, compiler_options=options)(
        key, jnp.zeros((1, size, size, 3), jnp.float32)
    )
