"""Deep CORAL: features whose covariances agree in both domains, without a label of the target.

Sun and Saenko 2016, "Deep CORAL: correlation alignment for deep domain adaptation", equations 1
to 3.
"""

# pyright: strict

import jax
import jax.numpy as jnp
from jax import Array

from tljax.errors import InputError
from tljax.optim.objective import Objective
from tljax.tasks.task import Task, sums
from tljax.train.step import Apply, Batch, Loss, Losses, MakeLoss, Variables
from tljax.tree import statistics

# The features that the classes are predicted from; the paper's are the last layer of AlexNet, with
# 31 outputs.
LAYER = "head/fc1"


def covariance(features: Array) -> Array:
    """Compute the covariance `[D, D]` of the rows `[N, D]`, with N - 1 below the sum."""
    centred = features - features.mean(0)
    return jnp.matmul(centred.T, centred, precision=jax.lax.Precision.HIGHEST) / (len(features) - 1)


def distance(source: Array, target: Array) -> Array:
    """Compute the squared Frobenius distance of two covariances over 4 D^2.

    Features are `[N, D]` and `[M, D]`.
    """
    width = source.shape[-1]
    return ((covariance(source) - covariance(target)) ** 2).sum() / (4 * width**2)


def aligned(*, weight: float, layer: str = LAYER) -> MakeLoss:
    """Make a loss for `Beside.loss` that aligns the features of both batches.

    It is the task's loss of the batch plus `weight` times the distance between its features and
    those of the second batch, whose labels are not read. The metrics have the distance as `coral`.
    """

    def make(apply: Apply, objective: Objective, task: Task) -> Loss:
        if objective.mixup:
            raise InputError(
                "CORAL: expected an objective without mixup; mixed features have another covariance"
            )

        def loss(variables: Variables, batch: Batch, rate: Array) -> Losses:
            images, keys = (
                jnp.concatenate([batch[name], batch["beside"][name]]) for name in ("image", "key")
            )
            mutable = list(statistics(variables))
            (logits, out), moved = apply(
                variables, images, train=True, rate=rate, keys=keys, mutable=mutable
            )
            own, label = len(batch["label"]), batch["label"]
            features = out[layer].reshape(len(images), -1).astype(jnp.float32)
            apart = distance(features[:own], features[own:])
            losses = task.losses(logits[:own], label, objective)
            metrics = {
                "loss": losses.sum(),
                **sums(task, logits[:own], label),
                "count": jnp.int32(own),
                "coral": apart * own,
            }
            return losses.mean() + weight * apart, (moved, metrics)

        return loss

    return make
