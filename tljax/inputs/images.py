"""The inputs of a stage: photographs, or the activations of a frozen prefix, run once."""

# pyright: strict
# pyright: reportUnknownVariableType=false

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax import waiting
from tljax.data.augment import Augment, Augmentation, Maps, affine
from tljax.data.examples import Part, Sets
from tljax.data.photos import Size
from tljax.data.text.augment import Offsets
from tljax.inputs.activations import Activations, Store
from tljax.inputs.feed import Examples
from tljax.inputs.prefix import Prefix
from tljax.machine import processes
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.task import Task

Strength = Array | float  # of augmentation


def _unchanged(
    label: Array, keys: Array | None = None, strength: Strength = 1.0, maps: Maps | None = None
) -> Array:
    del keys, strength, maps
    return label


@dataclass(frozen=True)
class Inputs:
    """The examples that a stage reads, and how a batch of it becomes the network's input.

    `augmented(batch, keys, strength, maps)` is for training, `plain(batch)` for validation;
    `relabelled(label, keys, strength, maps)` does to dense labels what `augmented` does to their
    images. They are given `maps` where `maps(keys, strength)` drew them ahead, and else draw what
    they warp by.
    `start` is the layer they enter at, None for images.
    """

    train: Examples
    validation: Examples
    augmented: Callable[..., Any]  # an array, or `Kept` of a prefix with several layers
    plain: Callable[[Array], Any]
    start: str | None = None
    test: Examples | None = None  # nothing is chosen on it
    files: tuple[Path, ...] = ()  # where activations are kept, each view of each split
    made: int = 0  # views of splits that were computed; the rest were on disk
    seconds: float = 0.0  # that computing and reading them took
    classes: tuple[str, ...] = ()  # what the labels stand for
    size: Size = 0  # pixels of a side of the photographs
    digest: str = ""  # of the data set
    task: Task = CLASSIFICATION  # what the labels are for
    relabelled: Callable[..., Array] = _unchanged
    maps: Callable[[Array, Strength], Maps] | None = None  # None where nothing is warped

    def augmented_as(self, passes: Array) -> Array:
        """Return the passes whose augmentation examples have: views are those of the first ones."""
        return passes if self.start is None else passes % self.train.views


def from_images(
    sets: Sets, *, augment: Augmentation | None, preprocess: Callable[[Array], Array]
) -> Inputs:
    """Read examples, augmented afresh at every draw (validation never is), then preprocessed.

    Tokens are not preprocessed.
    """
    preprocess = preprocess if jnp.issubdtype(sets.spec.dtype, jnp.floating) else _as_is
    varied = sets.augmented

    def augmented(
        images: Array, keys: Array, strength: Strength = 1.0, maps: Maps | None = None
    ) -> Array:
        if augment is None:
            return preprocess(images)
        return preprocess(varied(images, keys=keys, ranges=augment, strength=strength, maps=maps))

    train, validation = (
        Examples(split.inputs, split.labels) for split in (sets.train, sets.validation)
    )
    test = Examples(sets.test.inputs, sets.test.labels) if sets.test else None
    read = Inputs(train, validation, augmented, preprocess, test=test)
    maps = _mapping(train.inputs.shape, augment) if isinstance(augment, Augment) else None
    return replace(_of(sets, read), relabelled=_relabelling(sets.task, augment), maps=maps)


def _mapping(shape: tuple[int, ...], ranges: Augment) -> Callable[[Array, Strength], Maps]:
    _, height, width, *_ = shape

    def maps(keys: Array, strength: Strength) -> Maps:
        return affine(keys, height=height, width=width, ranges=ranges, strength=strength)

    return maps


def _relabelling(task: Task, augment: Augmentation | None) -> Callable[..., Array]:
    """Return what does to dense labels what the same keys do to their examples.

    Maps `[N, H, W]` are warped; of running text `[N, 2 T]` come the tokens that follow.
    """
    if isinstance(augment, Offsets):
        return augment.following
    if not isinstance(augment, Augment) or not task.dense:
        return _unchanged

    def relabelled(
        label: Array, keys: Array, strength: Strength = 1.0, maps: Maps | None = None
    ) -> Array:
        drawn = maps or _mapping(label.shape, augment)(keys, strength)
        return task.warped(label, *drawn)

    return relabelled


def from_prefix(
    sets: Sets,
    prefix: Prefix,
    *,
    store: Store,
    passing: Sequence[tuple[str, int]] = (),
    progress: bool = True,
) -> Inputs:
    """Read activations of the prefix, computed once and kept in `store` for later runs.

    `passing` are earlier layers, each with a number of views, that are to be kept on the way.
    """
    began = time.perf_counter()
    activations = Activations(sets, prefix, store, passing=passing, progress=progress)
    with processes.first_then_others("features"):
        train = Examples(activations.split("train"), sets.train.labels, views=prefix.views)
        validation = Examples(activations.split("validation"), sets.validation.labels)
        test = Examples(activations.split("test"), sets.test.labels) if sets.test else None
    seconds = time.perf_counter() - began
    if progress and activations.made:
        waiting.say(f"base: {activations}, {waiting.duration(seconds)}")
    plain = prefix.entered(sets)
    entered = Inputs(
        train,
        validation,
        _drawn_ahead(plain),
        plain,
        start=prefix.architecture.following(prefix.stop),
        test=test,
        relabelled=_relabelling(sets.task, prefix.augment),
    )
    files, made = tuple(activations.files), len(activations.made)
    return _of(sets, replace(entered, files=files, made=made, seconds=seconds))


def promised(sets: Sets, prefix: Prefix) -> Inputs:
    """Make what `from_prefix` gives, from shapes of the parameters alone.

    Activations are zeros that take no memory.
    """
    row = prefix.row(sets)

    def zeros(split: Part, views: int) -> Examples:
        count = views * len(split.labels)
        return Examples(
            np.broadcast_to(np.zeros((), row.dtype), (count, *row.shape)), split.labels, views=views
        )

    test = zeros(sets.test, 1) if sets.test else None
    train, validation = zeros(sets.train, prefix.views), zeros(sets.validation, 1)
    start = prefix.architecture.following(prefix.stop)
    plain = prefix.entered(sets)
    read = Inputs(train, validation, _drawn_ahead(plain), plain, start=start, test=test)
    return replace(_of(sets, read), relabelled=_relabelling(sets.task, prefix.augment))


def _of(sets: Sets, inputs: Inputs) -> Inputs:
    return replace(inputs, classes=sets.classes, size=sets.size, digest=sets.digest, task=sets.task)


def _as_is(batch: Array) -> Array:
    return batch


def _drawn_ahead(plain: Callable[[Array], Any]) -> Callable[..., Any]:
    """Return what reads a batch for training: its views were drawn when the prefix ran."""

    def drawn(
        batch: Array, keys: Array | None = None, strength: Strength = 1.0, maps: Maps | None = None
    ) -> Any:
        del keys, strength, maps
        return plain(batch)

    return drawn
