"""What is kept of each held-out example, its logits or less, and how that is scored."""

# pyright: strict
# pyright: reportUnknownMemberType=false

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jax.sharding import Mesh

from tljax.inputs.feed import Examples, feed, place
from tljax.inputs.images import Inputs
from tljax.machine import devices, in_turn
from tljax.models import ops
from tljax.train.evaluate import batches_of
from tljax.train.step import State, averaged


def held_out(
    state: State, *, module: nn.Module, inputs: Inputs, batch_size: int
) -> dict[str, np.ndarray]:
    """Compute what the task keeps of each held-out split, by its name: logits `[N, outputs]`.

    Numbers are float32. The splits are "validation", and "test" where there is one; rows are in the
    order of the examples. Averaged parameters are used where the state has them. `batch_size` is
    the stage's: the batches are those of the evaluation.
    """
    over = devices.mesh_for(batch_size)
    size = max(batch_size, 32 * over.size)
    splits = {"validation": inputs.validation} | ({"test": inputs.test} if inputs.test else {})
    program = in_turn.of(ops.jit(_program(module, inputs), out_shardings=devices.replicated(over)))
    state = devices.put(state.replace(opt_state=None), devices.replicated(over))
    return {
        split: np.concatenate(list(_parts(program, state, examples, size, over)))[: len(examples)]
        for split, examples in splits.items()
    }


def scores_of(kept: dict[str, np.ndarray], inputs: Inputs) -> dict[str, dict[str, float]]:
    """Score what is kept of each held-out split against the labels of its examples."""
    return {
        split: inputs.task.judged(each, getattr(inputs, split).labels)
        for split, each in kept.items()
    }


def _parts(
    program: Any, state: State, examples: Examples, size: int, over: Mesh
) -> Iterable[np.ndarray]:
    """Compute what is kept `[rows, ...]` of each compiled call, the last one with padding."""
    chunks = [chunk for chunk, _ in batches_of(len(examples), size)]
    split = devices.split_batch(over, axis=1)
    pools = feed(examples.inputs, chunks, over=over, place=place(examples.inputs, over))
    for (pool, rows), numbers in zip(pools, chunks, strict=True):
        batches = {"row": rows, "label": examples.labels[numbers]}
        kept = np.asarray(program(state, pool, devices.put(batches, split)))
        kept = kept.astype(np.float32) if jnp.issubdtype(kept.dtype, jnp.floating) else kept
        yield kept.reshape(-1, *kept.shape[2:])


def _program(module: nn.Module, inputs: Inputs) -> Any:
    def program(state: State, pool: Array, batches: dict[str, Array]) -> Array:
        variables = {"params": averaged(state), **state.model_state}

        def body(_: None, batch: dict[str, Array]) -> tuple[None, Array]:
            images = inputs.plain(pool[batch["row"]])
            logits = module.apply(variables, images, start=inputs.start, train=False)[0]
            return None, inputs.task.kept(logits, batch["label"])

        return jax.lax.scan(body, None, batches)[1]

    return program
