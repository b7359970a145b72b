"""Judge mixtures of trained classifiers on photographs: the layers that they share run once.

A mixture is a weighted sum of the parameters of classifiers of one network: a classifier itself, a
point between two of them, or the mean of many.
"""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportUnknownLambdaType=false

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.errors import InputError
from tljax.machine import memory
from tljax.models import build, ops
from tljax.models.classifiers import reads_of
from tljax.tasks.classification import CLASSIFICATION, predicted_classes
from tljax.train.outcome.trained import Trained
from tljax.train.step import Variables, averaged
from tljax.tree import Flat, flatten, nest

BATCH = 32


def variables_of(trained: Trained) -> Variables:
    """Return what a classifier predicts with: `{"params", "batch_stats"?}`, averages in place."""
    return {"params": averaged(trained.state), **trained.state.model_state}


def mixed(members: Sequence[Variables], weights: Sequence[float]) -> Variables:
    """Sum the leaves of members times their weights; members of weight 0 are not touched.

    One member of weight 1 is returned with its bits. Leaves are numpy arrays, summed in float64.
    """
    if len(members) != len(weights):
        raise InputError(f"weights: expected {len(members)}, found {len(weights)}")
    used = [(flatten(m), w) for m, w in zip(members, weights, strict=True) if w != 0]
    if len(used) == 1 and used[0][1] == 1:
        return nest("mixed", {path: np.asarray(leaf) for path, leaf in used[0][0].items()})
    first = used[0][0]
    leaves: Flat = {}
    for path, leaf in first.items():
        total = sum(np.asarray(flat[path], np.float64) * weight for flat, weight in used)
        leaves[path] = np.asarray(total).astype(np.asarray(leaf).dtype)
    return nest("mixed", leaves)


def mean_of(count: int, chosen: Sequence[int]) -> np.ndarray:
    """Return the weights `[count]` of the mean of the chosen members."""
    weights = np.zeros(count)
    weights[list(chosen)] = 1 / len(chosen)
    return weights


class Judge:
    """Computes logits of mixtures of classifiers that have one network, classes and size.

    InputError where they differ. `shared` is the last layer up to which all have the same bits,
    None where the first layer differs; activations there are computed once for all mixtures. The
    layers that differ are on the device for all members where they take no more than `room` bytes,
    by default half of its memory; else each mixture is made in the host's memory, in its turn.
    """

    def __init__(self, members: Sequence[Trained], *, room: int | None = None) -> None:
        first = members[0]
        if first.task != CLASSIFICATION:
            raise InputError(f"{first.rung}: expected a classification, found {first.task.name}")
        for each in members:
            for name in ("network", "preprocess", "classes", "size"):
                ours, theirs = getattr(first, name), getattr(each, name)
                if ours != theirs:
                    raise InputError(
                        f"{each.rung}, seed {each.seed}: expected {name} as of {first.rung}, "
                        f"seed {first.seed}: {ours}, found {theirs}"
                    )
        self.size, self.count = first.size, len(members)
        self._module = build.classifier(first.network, classes=len(first.classes))
        flats = [flatten(variables_of(member)) for member in members]
        same = {
            path
            for path, leaf in flats[0].items()
            if all(_equal(leaf, flat[path]) for flat in flats[1:])
        }
        architecture = first.network.architecture
        moved = {path.split("/")[2] for path in flats[0].keys() - same if "/base/" in path}
        shared = architecture.frozen_prefix(set(architecture.modules) - moved)
        self.shared = None if reads_of(self._module.head) else shared
        self._start = None if self.shared is None else architecture.following(self.shared)
        self._same = {path: jnp.asarray(flats[0][path]) for path in same}
        own = sorted(flats[0].keys() - same)
        self._own = [nest("own", {path: np.asarray(flat[path]) for path in own}) for flat in flats]
        size = sum(leaf.nbytes for each in self._own for leaf in jax.tree.leaves(each))
        fits = size <= (memory.room() if room is None else room)
        self._stack = _stacked(self._own) if fits else None
        self._prefix: Any = ops.jit(partial(self._activations, preprocess=first.preprocess))
        self._suffix: Any = ops.jit(self._logits)

    def logits(self, images: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Compute the logits `[M, N, outputs]` of mixtures with weights `[M, members]`.

        Images are uint8 `[N, size, size, 3]`.
        """
        return self.onward(self.activations(images), weights)[:, : len(images)]

    def activations(self, images: np.ndarray) -> Array:
        """Run the shared layers: `[batches, BATCH, ...]`, padded with the last image."""
        count = len(images)
        rows = np.minimum(np.arange(-(-count // BATCH) * BATCH), count - 1).reshape(-1, BATCH)
        return jnp.stack([self._prefix(self._same, np.asarray(images[batch])) for batch in rows])

    def onward(self, parts: Array, weights: np.ndarray) -> np.ndarray:
        """Compute the logits `[M, rows, outputs]` of mixtures from what `activations` gave."""
        made = [np.asarray(self._suffix(self._same, *self._mixture(row), parts)) for row in weights]
        return np.stack([each.reshape(-1, each.shape[-1]) for each in made])

    def right(self, images: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Tell which images each mixture classifies correctly: bool `[M, N]`."""
        return is_right(self.logits(images, weights), labels)

    def _mixture(self, row: np.ndarray) -> tuple[Mapping[str, Array], Array]:
        """Return stacked layers and their weights, which are one mixture's."""
        if self._stack is not None:
            return self._stack, jnp.asarray(row, jnp.float32)
        return _stacked([mixed(self._own, row.tolist())]), jnp.ones(1)

    def _activations(self, same: Mapping[str, Array], images: Array, *, preprocess: Any) -> Array:
        prepared = preprocess(images)
        if self.shared is None:
            return prepared
        tree = nest("shared", dict(same))
        base = {kind: leaves["base"] for kind, leaves in tree.items() if "base" in leaves}
        return self._module.base.apply(base, prepared, stop=self.shared)[0]

    def _logits(
        self, same: Mapping[str, Array], own: Mapping[str, Array], weights: Array, parts: Array
    ) -> Array:
        """Mix once, then run all batches `[batches, BATCH, ...]` with that mixture.

        Mixtures run one after another: with a kernel for each, convolutions would be grouped ones,
        which are slow.
        """
        mix = partial(jnp.tensordot, weights, axes=1, precision=jax.lax.Precision.HIGHEST)
        leaves = {path: mix(stacked).astype(stacked.dtype) for path, stacked in own.items()}
        variables = nest("mixed", {**same, **leaves})

        def one(batch: Array) -> Array:
            return self._module.apply(variables, batch, start=self._start, train=False)[0]

        return jax.lax.map(one, parts)


def is_right(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Tell which images logits `[M, N, outputs]` classify correctly: bool `[M, N]`."""
    return np.stack([predicted_classes(each) == labels for each in logits])


def _stacked(trees: Sequence[Variables]) -> dict[str, Array]:
    """Stack the leaves of trees on the device: path -> `[trees, ...]`."""
    flats = [flatten(tree) for tree in trees]
    return {path: jnp.stack([flat[path] for flat in flats]) for path in flats[0]}


def _equal(one: Any, other: Any) -> bool:
    a, b = np.asarray(one), np.asarray(other)
    return a.shape == b.shape and a.tobytes() == b.tobytes()
