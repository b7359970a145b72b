"""A stage as compiled calls: each scans a segment of its steps, with its data on the devices."""

# pyright: strict
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, Sharding
from jax.typing import DTypeLike

from tljax.config import Stage
from tljax.data.draws import augment_keys, draws, dropout_keys
from tljax.inputs.feed import Examples, feed, place, pool_shape
from tljax.inputs.images import Inputs
from tljax.machine import devices
from tljax.models import ops
from tljax.optim import schedules
from tljax.train.ready import Ready
from tljax.train.step import Batch, Metrics, State, TrainStep

# Pool, root key, batches, hyper: arrays or shapes.
Arguments = tuple[Any, Any, Batch, dict[str, Any]]
Jitted = Any  # jax.jit's wrapper, with `trace` and `lower`; its own type leaves results unknown

_BESIDE = 1 << 31  # keeps the draws of a second set apart from the first's
_SEGMENT = 32  # most steps in one compiled program, and so between two moves of the progress bar


def make_program(train_step: TrainStep, ready: Ready, over: Mesh) -> Jitted:
    """Make the program of a segment: its steps in one scan, the state donated.

    `(state, pool, root key, batches, hyper) -> (state, metrics [steps])`.
    """
    inputs, second = ready.inputs, ready.second

    def program(
        state: State, pool: Any, root: Array, batches: Batch, hyper: dict[str, Array]
    ) -> tuple[State, Metrics]:
        def body(state: State, xs: tuple[Batch, dict[str, Array]]) -> tuple[State, Metrics]:
            drawn, hyper = xs
            strength = hyper["augment"]
            if not second:
                return train_step(state, make_batch(inputs, pool, drawn, strength), hyper)
            batch = make_batch(inputs, pool[0], drawn, strength)
            other = make_batch(second.inputs, pool[1], drawn["beside"], strength)
            return train_step(state, {**batch, "beside": other}, hyper)

        drawn = with_keys(batches, root, inputs, hyper["augment"])
        if second:
            other_root = jax.random.fold_in(root, _BESIDE)
            drawn["beside"] = with_keys(
                batches["beside"], other_root, second.inputs, hyper["augment"], stream=_BESIDE
            )
        return jax.lax.scan(body, state, (drawn, hyper))

    return ops.jit(program, donate_argnums=0, out_shardings=devices.replicated(over))


def with_keys(
    batches: Batch, root: Array, inputs: Inputs, strength: Array, *, stream: int | None = None
) -> Batch:
    """Add what is drawn for each image of a segment `[steps, N]`, by the `strength` of each step.

    That is the keys `augment` and `key`, for dropout, and `maps` where images are warped. All are
    functions of position and strength alone, so they are made for all steps at once: in the scan
    they would be dozens of small kernels at every step.
    """
    passes, example = batches["pass"], batches["example"]
    keys = jax.vmap(partial(augment_keys, stream=stream))(inputs.augmented_as(passes), example)
    return {
        **batches,
        "augment": keys,
        "key": jax.vmap(partial(dropout_keys, root))(passes, example),
        **({"maps": jax.vmap(inputs.maps)(keys, strength)} if inputs.maps else {}),
    }


def make_batch(inputs: Inputs, pool: Array, drawn: Batch, strength: Array) -> Batch:
    """Gather and augment the batch of one step.

    It has `image` `[N, ...]`, `label` `[N, ...]`, warped with the image where it is dense, and
    `key` `[N]` for dropout. `drawn` has the `row` of `pool`, `label`, and what is drawn for each
    image (`with_keys`) `[N]`.
    """
    given = (drawn["augment"], strength, *([drawn["maps"]] if "maps" in drawn else []))
    image = inputs.augmented(pool[drawn["row"]], *given)
    label = inputs.relabelled(drawn["label"], *given)
    return {"image": image, "label": label, "key": drawn["key"]}


def segment_steps(steps_per_epoch: int) -> int:
    """Return the number of steps in one compiled program.

    That is the largest divisor of an epoch's steps up to 32 if it is 8 or more, else the epoch.
    """
    largest = max(n for n in range(1, _SEGMENT + 1) if steps_per_epoch % n == 0)
    return largest if largest >= 8 else steps_per_epoch


@dataclass(frozen=True)
class Segment:
    """Describe one call: its steps, its arguments after the state, and its last rate."""

    first_step: int
    steps: int
    arguments: Arguments
    lr: float

    @property
    def end(self) -> int:
        """Return the number of steps done after it."""
        return self.first_step + self.steps


def hyperparameters(stage: Stage, *, steps: int) -> dict[str, Callable[[int], float]]:
    """Resolve a stage's schedules to functions of the step, for a stage of `steps` steps.

    A step takes their values as traced scalars.
    """
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
    stage: Stage, ready: Ready, *, seed: int, over: Mesh, first_step: int = 0
) -> Iterator[Segment]:
    """Yield the compiled calls of a stage in order, with their arguments.

    A set that is streamed is copied to the devices ahead of its call.
    """
    train, second = ready.inputs.train, ready.second
    per_epoch = stage.steps_per_epoch(len(train))
    length = segment_steps(per_epoch)
    functions = hyperparameters(stage, steps=stage.epochs * per_epoch)
    starts = range(first_step, stage.epochs * per_epoch, length)
    whole = devices.replicated(over)
    root = devices.put(jax.random.key(seed), whole)  # an argument: another seed does not recompile
    streams = [_batches(train, stage.batch_size, starts, length, seed=seed, over=over)]
    if second:
        # An order of its own: sets of equal size would else meet in the same pairs at every step.
        other = second.inputs.train
        streams.append(
            _batches(other, second.batch_size, starts, length, seed=seed + _BESIDE, over=over)
        )
    for first, *drawn in zip(starts, *streams, strict=True):
        pool, batches = drawn[0]
        if second:
            pool, batches = (pool, drawn[1][0]), {**batches, "beside": drawn[1][1]}
        steps = range(first, first + length)
        hyper = {
            name: np.array([value(i) for i in steps], np.float32)
            for name, value in functions.items()
        }
        yield Segment(
            first,
            length,
            (pool, root, batches, devices.put(hyper, whole)),
            functions["lr"](steps[-1]),
        )


def _batches(
    examples: Examples, batch_size: int, starts: range, length: int, *, seed: int, over: Mesh
) -> Iterator[tuple[Array, dict[str, Array]]]:
    """Yield, for each start, the pool and what is drawn from it `[length, batch_size]`."""

    def drawn(first: int) -> tuple[np.ndarray, np.ndarray]:
        passes, example = draws(
            first * batch_size, length * batch_size, examples=len(examples), seed=seed
        )
        return passes.reshape(length, batch_size), example.reshape(length, batch_size)

    rows_of = (examples.rows(*drawn(first)) for first in starts)
    pools = feed(examples.inputs, rows_of, over=over, place=place(examples.inputs, over))
    for first, (pool, rows) in zip(starts, pools, strict=True):
        passes, example = drawn(first)
        batches = {
            "row": rows,
            "pass": passes,
            "example": example,
            "label": examples.labels[example],
        }
        yield pool, devices.put(batches, devices.split_batch(over, axis=1))


def shapes(stage: Stage, train: Examples, length: int, *, over: Mesh) -> Arguments:
    """Return the shapes and shardings of `Segment.arguments`, to compile from ahead of the data."""
    split, whole = devices.split_batch(over, axis=1), devices.replicated(over)

    def shape(sides: tuple[int, ...], dtype: DTypeLike, where: Sharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(sides, dtype, sharding=where)

    steps = (length, stage.batch_size)
    batches = {name: shape(steps, np.int32, split) for name in ("row", "pass", "example")}
    batches["label"] = shape((*steps, *train.labels.shape[1:]), train.labels.dtype, split)
    hyper = {name: shape((length,), np.float32, whole) for name in _values(stage)}
    root = jax.eval_shape(lambda: jax.random.key(0))
    return (
        pool_shape(train.inputs, math.prod(steps), over=over),
        shape(root.shape, root.dtype, whole),
        batches,
        hyper,
    )
