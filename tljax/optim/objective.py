"""What a step minimises: cross entropy, with smoothed labels, weighted classes or mixed pairs where asked for."""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from tljax.errors import InputError

_MIX = 0x3A  # keeps these draws apart from dropout's, which have the same keys


@dataclass(frozen=True)
class Objective:
    """Options of the training loss; evaluation always has the plain one.

    `label_smoothing` moves that share of each label evenly over all classes (Szegedy et al. 2015). `class_weights` is a
    weight a class, or "balanced": examples over classes times examples of the class. `mixup` is the alpha of the
    Beta distribution that mixes each example with its neighbour in the batch (Zhang et al. 2017); 0 is off.
    """

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | Literal["balanced"] | None = None
    mixup: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label_smoothing must be from 0 to below 1, found {self.label_smoothing}")
        if not 0 <= self.mixup < float("inf"):
            raise InputError(f"mixup must be 0 or a positive number, found {self.mixup}")
        if isinstance(self.class_weights, str):
            if self.class_weights != "balanced":
                raise InputError(f'class_weights: expected numbers or "balanced", found {self.class_weights!r}')
        elif self.class_weights is not None and not all(0 < w < float("inf") for w in self.class_weights):
            raise InputError(f"class_weights must be positive numbers, found {self.class_weights}")


PLAIN = Objective()


def balanced(labels: np.ndarray, *, classes: int) -> tuple[float, ...]:
    """Weights inverse to the classes' frequencies in `labels` `[N]`, with mean 1 over the examples.

    InputError for a class without examples.
    """
    counts = np.bincount(labels, minlength=classes)
    if not counts.all():
        raise InputError(f"class_weights: class {int(counts.argmin())} has no training example to balance")
    return tuple((len(labels) / (classes * counts)).tolist())


def constant_loss(labels: np.ndarray, objective: Objective = PLAIN, *, classes: int) -> float:
    """The least mean loss over `labels` `[N]` of a prediction that is the same for every example.

    Plain, that is the entropy of the classes' frequencies. Smoothing and weights turn each label into a target of
    some weight, and the loss is least at the mean of the targets (Gibbs' inequality), which mixing leaves as it is.
    """
    weights = objective.class_weights
    if weights == "balanced":
        weights = balanced(labels, classes=int(labels.max()) + 1)
    weighted = np.bincount(labels, minlength=classes) / len(labels)
    if weights is not None:
        weighted[: len(weights)] *= weights
    smooth = objective.label_smoothing
    target = (1 - smooth) * weighted + smooth * weighted.sum() / classes
    some = target[target > 0]
    return float(-(some * np.log(some / some.sum())).sum())


def per_example_loss(logits: Array, labels: Array, objective: Objective = PLAIN) -> Array:
    """Cross entropy `[N]`: of a sigmoid where `logits` is `[N, 1]`, else of a softmax over `[N, C]`."""
    if logits.shape[-1] == 1:
        targets = labels.astype(logits.dtype) * (1 - objective.label_smoothing) + objective.label_smoothing / 2
        losses = optax.sigmoid_binary_cross_entropy(logits[:, 0], targets)
    elif objective.label_smoothing:
        targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), objective.label_smoothing)
        losses = optax.softmax_cross_entropy(logits, targets)
    else:
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    if objective.class_weights is None:
        return losses
    return losses * jnp.asarray(objective.class_weights, losses.dtype)[labels]


def mixed(images: Array, keys: Array, *, alpha: float) -> tuple[Array, Array]:
    """`(share * images + (1 - share) * neighbours, share [N])`; the neighbour of example i is i - 1, of 0 the last.

    `share` is drawn from Beta(alpha, alpha) with each example's key; the larger part is its own.
    """
    share = jax.vmap(lambda key: jax.random.beta(jax.random.fold_in(key, _MIX), alpha, alpha))(keys)
    share = jnp.maximum(share, 1 - share)
    by_image = share.reshape(-1, *[1] * (images.ndim - 1)).astype(images.dtype)
    return by_image * images + (1 - by_image) * neighbours(images), share


def neighbours(batch: Array) -> Array:
    """What each example is mixed with."""
    return jnp.roll(batch, 1, axis=0)


def predicted(logits: Array) -> Array:
    """Class index `[N] int32`."""
    if logits.shape[-1] == 1:
        return (logits[:, 0] > 0).astype(jnp.int32)
    return logits.argmax(-1).astype(jnp.int32)
