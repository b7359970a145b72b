"""A stage as compiled calls: each a scan over a segment of its steps, with what it reads ready on the devices."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from tljax.config import Stage
from tljax.data.draws import draws, example_keys
from tljax.models import ops
from tljax.optim import schedules
from tljax.train import devices
from tljax.train.feed import Examples, feed, place, pool_shape
from tljax.train.inputs import Inputs
from tljax.train.step import State

_SEGMENT = 32  # steps in one compiled program at most: what lies between two moves of the progress bar


def segment_steps(steps_per_epoch: int) -> int:
    """Steps in one compiled program: the largest divisor of an epoch's steps that is at most 32, if it is 8 or more."""
    largest = max(n for n in range(1, _SEGMENT + 1) if steps_per_epoch % n == 0)
    return largest if largest >= 8 else steps_per_epoch


@dataclass(frozen=True)
class Segment:
    """One call: what it takes after the state, its first step, its last rate and how many images it draws."""

    first_step: int
    arguments: tuple[Any, ...]
    lr: float
    images: int


def hyperparameters(stage: Stage, *, steps: int) -> dict[str, Callable[[int], float]]:
    """The stage's values as functions of the step, for a stage of so many: what a step takes as traced scalars."""
    return {name: schedules.resolve(value, steps=steps) for name, value in _values(stage).items()}


def _values(stage: Stage) -> dict[str, Any]:
    return {
        "lr": stage.lr,
        "dropout": stage.dropout,
        "augment": stage.augment_strength,
        "momentum": stage.optimizer.momentum,
        "weight_decay": stage.optimizer.weight_decay,
    }


def segments(
    stage: Stage, train: Examples, per_epoch: int, length: int, *, seed: int, over: Mesh, first_step: int = 0
) -> Iterator[Segment]:
    """The arguments of each compiled call, in order, copied to the devices ahead of it where the set is streamed."""
    functions = hyperparameters(stage, steps=stage.epochs * per_epoch)
    starts = range(first_step, stage.epochs * per_epoch, length)
    split, whole = devices.split_batch(over, axis=1), devices.replicated(over)
    root = devices.put(jax.random.key(seed), whole)  # an argument: another seed does not recompile
    shape = (length, stage.batch_size)

    def drawn(first: int) -> tuple[np.ndarray, np.ndarray]:
        passes, example = draws(first * stage.batch_size, length * stage.batch_size, examples=len(train), seed=seed)
        return passes.reshape(shape), example.reshape(shape)

    pools = feed(
        train.inputs, (train.rows(*drawn(first)) for first in starts), over=over, place=place(train.inputs, over)
    )
    for first, (pool, rows) in zip(starts, pools, strict=True):
        passes, example = drawn(first)
        batches = {
            "row": rows,
            "pass": passes,
            "example": example,
            "label": train.labels[example].astype(np.int32),
        }
        steps = range(first, first + length)
        hyper = {name: np.array([value(i) for i in steps], np.float32) for name, value in functions.items()}
        arguments = (pool, root, devices.put(batches, split), devices.put(hyper, whole))
        yield Segment(first, arguments, functions["lr"](steps[-1]), rows.size)


def shapes(stage: Stage, train: Examples, length: int, *, over: Mesh) -> tuple[Any, ...]:
    """Shapes and places of `Segment.arguments`, from which the program can be compiled before anything is there."""
    split, whole = devices.split_batch(over, axis=1), devices.replicated(over)

    def shape(of: tuple[int, ...], dtype: Any, sharding: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(of, dtype, sharding=sharding)

    steps = (length, stage.batch_size)
    names = ("row", "pass", "example", "label")
    batches = {name: shape(steps, np.int32, split) for name in names}
    hyper = {name: shape((length,), np.float32, whole) for name in _values(stage)}
    root = jax.eval_shape(lambda: jax.random.key(0))
    return pool_shape(train.inputs, math.prod(steps), over=over), shape(root.shape, root.dtype, whole), batches, hyper


def make_program(train_step: Callable[..., Any], inputs: Inputs, over: Mesh) -> Any:
    """`(state, pool, root key, batches, hyper) -> (state, metrics [steps])`: steps in one scan, the state donated."""

    def program(state: State, pool: Array, root: Array, batches: dict[str, Array], hyper: dict[str, Array]) -> Any:
        def body(state: State, xs: tuple[dict[str, Array], dict[str, Array]]) -> Any:
            batch, now = xs
            augment_keys, dropout_keys = example_keys(root, batch["pass"], batch["example"])
            image = inputs.augmented(pool[batch["row"]], augment_keys, now["augment"])
            return train_step(state, {"image": image, "label": batch["label"], "key": dropout_keys}, now)

        return jax.lax.scan(body, state, (batches, hyper))

    return ops.jit(program, donate_argnums=0, out_shardings=devices.replicated(over))
