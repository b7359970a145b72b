"""Masked sums over a split, every example exactly once."""

# pyright: strict
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from tljax.inputs.feed import Examples, feed, place
from tljax.machine import devices, in_turn
from tljax.models import ops
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.task import Task
from tljax.train.step import Apply, Batch, Metrics, State, make_eval_step

_CHUNK = 32  # batches a compiled call


def make_evaluate(
    *,
    apply: Apply,
    prepare: Callable[[Array], Array],
    examples: Examples,
    batch_size: int,
    over: Mesh,
    task: Task = CLASSIFICATION,
) -> Callable[[State], dict[str, float]]:
    """Make a function `state -> {"loss", the task's measures, "n"}` over all examples.

    `prepare` makes the network's input from a batch of `examples.inputs`. The last batch is padded
    and masked; sums are divided at the end, in float64.
    """
    devices.check_batch(batch_size, over)
    eval_step = make_eval_step(apply=apply, task=task)
    program = in_turn.of(
        ops.jit(_program(eval_step, prepare), out_shardings=devices.replicated(over))
    )
    batches = batches_of(len(examples), batch_size)
    where = place(examples.inputs, over)

    def pools() -> Iterator[tuple[Array, np.ndarray]]:
        return feed(examples.inputs, (rows for rows, _ in batches), over=over, place=where)

    resident = list(pools()) if where != "streamed" else None

    def evaluate(state: State) -> dict[str, float]:
        state = state.replace(opt_state=None)  # stages that differ in it alone share a program
        total: dict[str, np.ndarray] = {}
        for (pool, rows), (numbers, mask) in zip(resident or pools(), batches, strict=True):
            batch = {"row": rows, "label": examples.labels[numbers], "mask": mask}
            sums = program(state, pool, devices.put(batch, devices.split_batch(over, axis=1)))
            parts = {name: np.sum(np.asarray(each, np.float64), 0) for name, each in sums.items()}
            total = {name: total.get(name, 0.0) + part for name, part in parts.items()}
        count = int(total["count"])
        return {"loss": float(total["loss"]) / count, **task.scores(total), "n": count}

    return evaluate


def _program(
    eval_step: Callable[[State, Batch], Metrics], prepare: Callable[[Array], Array]
) -> Callable[[State, Array, Batch], Metrics]:
    def program(state: State, pool: Array, batches: dict[str, Array]) -> dict[str, Array]:
        def body(_: None, batch: dict[str, Array]) -> tuple[None, dict[str, Array]]:
            image = prepare(pool[batch["row"]])
            return None, eval_step(
                state, {"image": image, "label": batch["label"], "mask": batch["mask"]}
            )

        return jax.lax.scan(body, None, batches)[1]

    return program


def batches_of(count: int, batch_size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide examples into calls: `(example numbers, mask)`, each `[batches, batch_size]`.

    All have the same shape, padded with example 0 and mask 0.
    """
    chunks = math.ceil(count / (batch_size * _CHUNK))
    batches = math.ceil(count / (batch_size * chunks))
    rows = np.zeros((chunks, batches, batch_size), np.int32)
    mask = np.zeros(rows.shape, np.float32)
    rows.reshape(-1)[:count] = np.arange(count)
    mask.reshape(-1)[:count] = 1
    return list(zip(rows, mask, strict=True))
