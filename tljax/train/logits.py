"""The logits of a trained classifier on each held-out photograph, and their scores."""

# pyright: strict
# pyright: reportUnknownMemberType=false

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax import Array
from jax.sharding import Mesh

from tljax.inputs.feed import Examples, feed, place
from tljax.inputs.images import Inputs
from tljax.machine import devices
from tljax.models import ops
from tljax.train.evaluate import batches_of
from tljax.train.step import State, averaged


def held_out(
    state: State, *, module: nn.Module, inputs: Inputs, batch_size: int
) -> dict[str, np.ndarray]:
    """Compute the logits `[N, outputs]` float32 of each held-out split, by its name.

    The splits are "validation", and "test" where there is one; rows are in the order of the
    examples. Averaged parameters are used where the state has them. `batch_size` is the stage's:
    the batches are those of the evaluation.
    """
    over = devices.mesh_for(batch_size)
    size = max(batch_size, 32 * over.size)
    splits = {"validation": inputs.validation} | ({"test": inputs.test} if inputs.test else {})
    program = ops.jit(_program(module, inputs), out_shardings=devices.replicated(over))
    state = devices.put(state.replace(opt_state=None), devices.replicated(over))
    return {
        split: np.concatenate(list(_parts(program, state, examples, size, over)))[: len(examples)]
        for split, examples in splits.items()
    }


def scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Score stored logits as an evaluation does: {"accuracy", "loss", "n"}, in float64."""
    right = predicted_classes(logits) == labels
    return {
        "accuracy": float(right.mean()),
        "loss": float(image_losses(logits, labels).mean()),
        "n": len(labels),
    }


def scores_of(logits: dict[str, np.ndarray], inputs: Inputs) -> dict[str, dict[str, float]]:
    """Score the logits of each held-out split against the labels of its examples."""
    return {split: scores(each, getattr(inputs, split).labels) for split, each in logits.items()}


def image_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute the cross entropy `[N]` float64 of stored logits `[N, outputs]`, in nats."""
    both = two_sided(logits).astype(np.float64)
    return np.logaddexp.reduce(both, axis=1) - both[np.arange(len(labels)), labels]


def predicted_classes(logits: np.ndarray) -> np.ndarray:
    """Pick the class index `[N]` of stored logits `[N, outputs]`."""
    return two_sided(logits).argmax(1)


def two_sided(logits: np.ndarray) -> np.ndarray:
    """Turn logits `[..., outputs]` into `[..., classes]`: one z of a sigmoid becomes (0, z)."""
    if logits.shape[-1] > 1:
        return logits
    return np.concatenate([np.zeros_like(logits), logits], axis=-1)


def _parts(
    program: Any, state: State, examples: Examples, size: int, over: Mesh
) -> Iterable[np.ndarray]:
    """Compute the logits `[rows, outputs]` of each compiled call, the last one with padding."""
    rows = (chunk for chunk, _ in batches_of(len(examples), size))
    split = devices.split_batch(over, axis=1)
    where = place(examples.inputs, over)
    for pool, numbers in feed(examples.inputs, rows, over=over, place=where):
        logits = np.asarray(program(state, pool, devices.put(numbers, split)), np.float32)
        yield logits.reshape(-1, logits.shape[-1])


def _program(module: nn.Module, inputs: Inputs) -> Any:
    def program(state: State, pool: Array, rows: Array) -> Array:
        variables = {"params": averaged(state), **state.model_state}

        def body(_: None, numbers: Array) -> tuple[None, Array]:
            return None, module.apply(
                variables, inputs.plain(pool[numbers]), start=inputs.start, train=False
            )[0]

        return jax.lax.scan(body, None, rows)[1]

    return program
