"""A member of a sweep as data: its inputs, order and hyperparameters."""

# pyright: strict

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

import jax
import numpy as np

from tljax.config import Stage
from tljax.data.draws import draws
from tljax.errors import InputError
from tljax.inputs.feed import Examples
from tljax.optim.schedules import Schedule
from tljax.train.ready import Ready
from tljax.train.segments import hyperparameters
from tljax.tree import Flat

A = TypeVar("A")  # np.ndarray, or jax.Array in a program
SWEPT = ("lr", "dropout", "augment_strength", "momentum", "weight_decay")


@dataclass(frozen=True, eq=False)
class Member:
    """One run of a sweep.

    Alone it is `loop.train_stage` with `stage_at(stage, values)`, what is ready and this seed.
    `train` are the examples of `ready.inputs.train` that it trains on, `held` those it is validated
    on instead of `ready.inputs.validation`; None for all.
    """

    seed: int
    values: Mapping[str, float | Schedule]
    ready: Ready
    train: np.ndarray | None = None
    held: np.ndarray | None = None


def stage_at(stage: Stage, values: Mapping[str, float | Schedule]) -> Stage:
    """Return the stage with these hyperparameters, by name: those of `SWEPT`."""
    for name in values:
        if name not in SWEPT:
            raise InputError(f"sweep: expected some of {', '.join(SWEPT)}; found {name!r}")
    if "momentum" in values and stage.optimizer.name == "rmsprop":
        raise InputError("sweep: rmsprop has no momentum to vary; take adam or sgd")
    if "augment_strength" in values and stage.augment is None:
        raise InputError(
            f"sweep: stage {stage.name!r} has no augmentation whose strength could vary"
        )
    was = stage.optimizer
    optimizer = replace(
        was,
        momentum=values.get("momentum", was.momentum),
        weight_decay=values.get("weight_decay", was.weight_decay),
    )
    return replace(
        stage,
        optimizer=optimizer,
        lr=values.get("lr", stage.lr),
        dropout=values.get("dropout", stage.dropout),
        augment_strength=values.get("augment_strength", stage.augment_strength),
    )


def common(stages: list[Stage]) -> Stage:
    """Return the stage whose program all can share.

    It has decay and momentum in its chain if any of the stages has some.
    """
    first, every = stages[0], [stage.optimizer for stage in stages]
    momentum = next((each.momentum for each in every if each.momentum), 0.0)
    decay = next((each.weight_decay for each in every if each.weight_decay), 0.0)
    return replace(first, optimizer=replace(first.optimizer, momentum=momentum, weight_decay=decay))


class Draws(NamedTuple, Generic[A]):
    """The training examples in order, `[epochs, steps, batch]` int32 each; labels `[..., ...]`."""

    example: A
    label: A
    passes: A
    row: A  # of the pool


class Batches(NamedTuple, Generic[A]):
    """The validation examples, `[batches, batch]` each."""

    label: A
    mask: A  # float32, 0 for padding
    row: A  # of the pool


class Given(NamedTuple, Generic[A]):
    """The arrays that a stage's program reads for one member, or for many, stacked."""

    draws: Draws[A]
    frozen: Flat  # path -> leaf, as the rules split them
    held: Batches[A]
    held_pool: A
    hyper: Mapping[str, A]  # name -> float32 [epochs, steps]
    pool: A
    root: A  # data of the key for dropout


class Members:
    """Makes what each member is given; parts common to several members are made once."""

    def __init__(self, stage: Stage, *, per_epoch: int) -> None:
        self._stage, self._per_epoch = stage, per_epoch
        self._hyper = functools.cache(self._values)
        self._draws: dict[tuple[int, int, bytes | None], Draws[np.ndarray]] = {}
        self._held: dict[tuple[int, bytes | None], Batches[np.ndarray]] = {}

    def given(self, member: Member, *, frozen: Flat, held_rows: int) -> Given[np.ndarray]:
        """Make what a member is given.

        `held_rows` is the length of the longest validation set, to which all are padded.
        """
        read = member.ready.inputs
        validation = read.validation if member.held is None else read.train
        held_key = (id(validation), None if member.held is None else member.held.tobytes())
        if held_key not in self._held:
            self._held[held_key] = self._held_batches(validation, member.held, held_rows)
        draw_key = (member.seed, id(read), None if member.train is None else member.train.tobytes())
        if draw_key not in self._draws:
            self._draws[draw_key] = self._order(read.train, member.train, member.seed)
        return Given(
            draws=self._draws[draw_key],
            frozen=frozen,
            held=self._held[held_key],
            held_pool=validation.inputs,
            hyper=self._hyper(stage_at(self._stage, member.values)),
            pool=read.train.inputs,
            root=np.asarray(jax.random.key_data(jax.random.key(member.seed))),
        )

    def _values(self, stage: Stage) -> dict[str, np.ndarray]:
        """Evaluate the hyperparameters at every step: name -> float32 `[epochs, steps]`."""
        steps = stage.epochs * self._per_epoch
        functions = hyperparameters(stage, steps=steps)
        every = {
            name: np.array([value(i) for i in range(steps)], np.float32)
            for name, value in functions.items()
        }
        return {name: values.reshape(stage.epochs, -1) for name, values in every.items()}

    def _order(self, train: Examples, subset: np.ndarray | None, seed: int) -> Draws[np.ndarray]:
        """Draw the order `[epochs, steps, batch]` as the loop does, within the subset if given."""
        shape = (self._stage.epochs, self._per_epoch, self._stage.batch_size)
        count = len(train) if subset is None else len(subset)
        passes, example = draws(0, math.prod(shape), examples=count, seed=seed)
        place = example if subset is None else subset[example]
        return Draws(
            example=example.reshape(shape),
            label=train.labels[place].reshape(*shape, *train.labels.shape[1:]),
            passes=passes.reshape(shape),
            row=train.rows(passes, place).reshape(shape),
        )

    def _held_batches(
        self, examples: Examples, subset: np.ndarray | None, rows: int
    ) -> Batches[np.ndarray]:
        """Batch the validation rows `[batches, batch]`, padded with example 0 under mask 0."""
        numbers = np.arange(len(examples), dtype=np.int32) if subset is None else subset
        size = min(max(self._stage.batch_size, 32), rows)
        row, mask = np.zeros((2, math.ceil(rows / size) * size))
        row[: len(numbers)], mask[: len(numbers)] = numbers, 1
        row = row.astype(np.int32).reshape(-1, size)
        return Batches(
            label=examples.labels[row],
            mask=mask.astype(np.float32).reshape(row.shape),
            row=row,
        )
