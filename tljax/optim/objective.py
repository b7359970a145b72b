"""Training objectives: cross entropy with smoothed labels, class weights or mixup on request."""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from tljax.errors import InputError

_MIX = 0x3A  # separates these draws from dropout's, which use the same keys


@dataclass(frozen=True)
class Objective:
    """Options of the training loss; evaluation always uses the plain one.

    `label_smoothing` moves that share of each label evenly over all classes (Szegedy et al. 2015).
    `class_weights` is one weight per class, or "balanced": the number of examples over the number
    of classes times the examples of the class. `mixup` is the alpha of the Beta distribution that
    mixes each example with its neighbour in the batch (Zhang et al. 2017); 0 is off.
    """

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | Literal["balanced"] | None = None
    mixup: float = 0.0
    dice: float = 0.0  # of masks: times the soft Dice loss, added to the cross entropy

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise InputError(
                f"label_smoothing must be from 0 to below 1, found {self.label_smoothing}"
            )
        if not 0 <= self.mixup < float("inf"):
            raise InputError(f"mixup must be 0 or a positive number, found {self.mixup}")
        if not 0 <= self.dice < float("inf"):
            raise InputError(f"dice must be 0 or a positive number, found {self.dice}")
        if isinstance(self.class_weights, str):
            if self.class_weights != "balanced":
                raise InputError(
                    f'class_weights: expected numbers or "balanced", found {self.class_weights!r}'
                )
        elif self.class_weights is not None and not all(
            0 < w < float("inf") for w in self.class_weights
        ):
            raise InputError(f"class_weights must be positive numbers, found {self.class_weights}")


PLAIN = Objective()


def balanced(labels: np.ndarray, *, classes: int) -> tuple[float, ...]:
    """Compute weights inverse to the classes' frequencies in `labels` `[N]`.

    Their mean over the examples is 1. InputError for a class without examples.
    """
    counts = np.bincount(labels, minlength=classes)
    if not counts.all():
        raise InputError(
            f"class_weights: class {int(counts.argmin())} has no training example to balance"
        )
    return tuple((len(labels) / (classes * counts)).tolist())


def constant_loss(labels: np.ndarray, objective: Objective = PLAIN, *, classes: int) -> float:
    """Compute the least mean loss over `labels` `[N]` of one prediction for every example.

    For the plain objective that is the entropy of the classes' frequencies. Smoothing and weights
    turn each label into a weighted target, and the loss is least at the mean of the targets (Gibbs'
    inequality), which mixing leaves unchanged.
    """
    weights = objective.class_weights
    if weights == "balanced":
        weights = balanced(labels, classes=int(labels.max()) + 1)
    weighted = np.bincount(labels, minlength=classes) / len(labels)
    if weights is not None:
        weighted[: len(weights)] *= weights
    smooth = objective.label_smoothing
    target = (1 - smooth) * weighted + smooth * weighted.sum() / classes
    positive = target[target > 0]
    return float(-(positive * np.log(positive / positive.sum())).sum())


def per_example_loss(logits: Array, labels: Array, objective: Objective = PLAIN) -> Array:
    """Compute the cross entropy `[N]` of a sigmoid (`logits` `[N, 1]`) or a softmax (`[N, C]`)."""
    if logits.shape[-1] == 1:
        targets = (
            labels.astype(logits.dtype) * (1 - objective.label_smoothing)
            + objective.label_smoothing / 2
        )
        losses = optax.sigmoid_binary_cross_entropy(logits[:, 0], targets)
    elif objective.label_smoothing:
        targets = optax.smooth_labels(
            jax.nn.one_hot(labels, logits.shape[-1]), objective.label_smoothing
        )
        losses = optax.softmax_cross_entropy(logits, targets)
    else:
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    if objective.class_weights is None:
        return losses
    return losses * jnp.asarray(objective.class_weights, losses.dtype)[labels]


def mixed(images: Array, keys: Array, *, alpha: float) -> tuple[Array, Array]:
    """Mix each example with its neighbour: `share * images + (1 - share) * neighbours`.

    Returns the mixture and `share` `[N]`, drawn from Beta(alpha, alpha) with each example's key;
    the larger part is the example's own. The neighbour of example i is i - 1, that of example 0 the
    last one.
    """
    share = jax.vmap(lambda key: jax.random.beta(jax.random.fold_in(key, _MIX), alpha, alpha))(keys)
    share = jnp.maximum(share, 1 - share)
    by_image = share.reshape(-1, *[1] * (images.ndim - 1)).astype(images.dtype)
    return by_image * images + (1 - by_image) * neighbours(images), share


def neighbours(batch: Array) -> Array:
    """Return the example that each example of the batch is mixed with."""
    return jnp.roll(batch, 1, axis=0)


def predicted(logits: Array) -> Array:
    """Predict the class index `[N] int32` from logits."""
    if logits.shape[-1] == 1:
        return (logits[:, 0] > 0).astype(jnp.int32)
    return logits.argmax(-1).astype(jnp.int32)
