"""Photographs in the network's order: by loss, and by similarity of features."""

import jax
import numpy as np
from jax import Array

from tljax.errors import InputError
from tljax.inside.net import Net, in_batches, score
from tljax.tree import Params


def top_losses(
    net: Net, images: np.ndarray, labels: np.ndarray, *, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the `count` photographs with the highest cross-entropy, worst first.

    Returns `(examples, losses)`.
    """

    def program(params: Params, batch: Array, classes: Array) -> Array:
        logits = net.run(batch, params)[0]
        if logits.shape[-1] == 1:
            return jax.nn.softplus(-score(logits, classes))
        return -score(jax.nn.log_softmax(logits), classes)

    losses = in_batches(program, net.params, images, labels)
    worst = np.argsort(-losses, kind="stable")[:count]
    return worst, losses[worst]


def pooled(net: Net, images: np.ndarray, *, layer: str) -> np.ndarray:
    """Average a layer over its places: float32 `[N, C]`; one without places is taken as it is."""
    if layer not in net.architecture.names:
        raise InputError(
            f"no layer {layer!r}; the base's layers are {', '.join(net.architecture.names)}"
        )

    def program(params: Params, batch: Array) -> Array:
        activation = net.run(batch, params)[1][f"base/{layer}"]
        return activation.mean(tuple(range(1, activation.ndim - 1)))

    return in_batches(program, net.params, images)


def neighbours(
    queries: np.ndarray, gallery: np.ndarray, *, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find each query's nearest features in the gallery by cosine, nearest first.

    Returns `(rows, similarities)`, `[Q, count]` each.
    """
    similarity = _unit(queries) @ _unit(gallery).T
    rows = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    return rows, np.take_along_axis(similarity, rows, 1)


def _unit(features: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(length > 0, length, 1)
