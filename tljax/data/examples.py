"""What a data set of any kind says of itself: images are `sets.ImageSets`, words another file."""

from collections.abc import Callable, Mapping
from typing import Protocol

import jax
import numpy as np
from jax import Array

from tljax.data.photos import Size
from tljax.data.preprocess import Prepare
from tljax.tasks.task import Task


class Part(Protocol):
    """The examples of one split; every array has N rows."""

    @property
    def inputs(self) -> np.ndarray:
        """What a network reads, before preprocessing: images uint8, tokens int32 `[N, T]`."""
        ...

    @property
    def labels(self) -> np.ndarray:
        """The labels `[N, ...]`, as the task has them."""
        ...

    @property
    def ids(self) -> tuple[str, ...]:
        """A stable name of each example."""
        ...

    def __len__(self) -> int: ...


class Sets(Protocol):
    """Training, validation and perhaps test examples of one task.

    `classes` are the names of what a label tells of; `size` is the pixels of a side, or the tokens,
    of one example; `digest` is that of all that decides inputs and labels.
    """

    @property
    def name(self) -> str: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def train(self) -> Part: ...
    @property
    def validation(self) -> Part: ...
    @property
    def test(self) -> Part | None: ...
    @property
    def digest(self) -> str: ...
    @property
    def skipped(self) -> tuple[str, ...]: ...
    @property
    def left_out(self) -> tuple[str, ...]: ...
    @property
    def size(self) -> Size: ...
    @property
    def splits(self) -> Mapping[str, Part]: ...

    @property
    def task(self) -> Task:
        """Return what the labels are for, with what it takes from those of training."""
        ...

    @property
    def spec(self) -> jax.ShapeDtypeStruct:
        """Return shape, with one row, and dtype of an example as a network takes it."""
        ...

    @property
    def preprocess(self) -> Prepare:
        """Return what comes before a network that no base decides."""
        ...

    @property
    def augmented(self) -> Callable[..., Array]:
        """Return what varies examples: `(inputs, keys=, ranges=, strength=, maps=)`."""
        ...

    def counts(self) -> str:
        """Describe the set in one line."""
        ...
