"""Solve a stage instead of taking steps: a linear head on saved features.

The result has the form of that of `loop.train_stage`.
"""

# pyright: strict
# pyright: reportUnknownMemberType=false

import math
import time
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from tljax.config import Stage
from tljax.errors import InputError
from tljax.inputs.feed import Examples
from tljax.inputs.images import Inputs
from tljax.linear.logistic import Solution, fit_logistic
from tljax.machine import devices, processes
from tljax.models.classifiers import Classifier, Kept
from tljax.models.heads import Head
from tljax.tasks.classification import Classification
from tljax.tasks.task import unknown
from tljax.train.evaluate import make_evaluate
from tljax.train.history import History, OnEpoch, Record, ignore, start_of
from tljax.train.program import start
from tljax.train.ready import Ready
from tljax.train.step import State

_HEAD = {"predictions"}  # of `Network(hidden=0)`


def solve_stage(
    stage: Stage,
    ready: Ready,
    *,
    seed: int,
    on_epoch: OnEpoch = ignore,
    progress: bool = True,
) -> tuple[State, History, Solution]:
    """Fit a logistic regression to `ready.inputs` as the stage's state; record its start and end.

    `seed` decides the folds and nothing else. InputError for a head with a hidden layer, and where
    layers of the base run between the saved features and the head.
    """
    began = time.perf_counter()
    refuse_other(stage, ready)
    inputs, over = ready.inputs, devices.mesh_for(stage.batch_size)
    state, _, apply = start(stage, ready, over)

    def evaluator(examples: Examples) -> Callable[[State], dict[str, float]]:
        size = max(stage.batch_size, 32 * over.size)
        return make_evaluate(
            apply=apply,
            prepare=inputs.plain,
            examples=examples,
            batch_size=size,
            over=over,
            task=inputs.task,
        )

    evaluate = evaluator(inputs.validation)

    def record(validation: dict[str, float]) -> Record:
        return start_of(
            stage.name,
            seed=seed,
            nothing=unknown(inputs.task),
            validation=validation,
            seconds=time.perf_counter() - began,
        )

    epochs = [record(evaluate(state))]
    on_epoch(epochs[0], state)
    state, solution = _solved(state, inputs, head=_head(ready), seed=seed, over=over)
    train = evaluator(inputs.train)(state)
    epochs.append({**record(evaluate(state)), "epoch": 1, "step": 1, "train": train})
    on_epoch(epochs[1], state)
    if progress and processes.first():
        print(f"{stage.name}: {solution.said()}", flush=True)
    history = History(
        epochs,
        seconds=epochs[1]["seconds"],
        images_per_second=math.nan,
        step_flops=math.nan,
        task=inputs.task,
    )
    return state, history, solution


def _solved(
    state: State, inputs: Inputs, *, head: Head, seed: int, over: Mesh
) -> tuple[State, Solution]:
    entering = inputs.plain(jnp.asarray(inputs.train.inputs))
    rows, read = entering if isinstance(entering, Kept) else (entering, {})
    features = np.asarray(head.joined(rows, read))
    kernel, bias, solution = fit_logistic(
        features, inputs.train.labels, classes=max(2, head.outputs), seed=seed
    )
    layer = processes.from_first({"kernel": kernel, "bias": bias})
    step, fitted = devices.put((np.int32(1), layer), devices.replicated(over))
    return state.replace(
        step=step, params={**state.params, "head": {"predictions": fitted}}
    ), solution


def _head(ready: Ready) -> Head:
    head = ready.module.head if isinstance(ready.module, Classifier) else ready.module
    if not isinstance(head, Head):
        raise InputError(f"what is solved is the Head of a Classifier, found {type(head).__name__}")
    return head


def refuse_other(stage: Stage, ready: Ready) -> None:
    """Raise InputError for a stage that cannot be solved; `ready` may be an outline."""
    if not isinstance(ready.inputs.task, Classification):
        raise InputError(
            f"stage {stage.name!r}: what is solved is a classification, "
            f"found {ready.inputs.task.name}"
        )
    if (start := ready.inputs.start) != "head":
        raise InputError(
            f"stage {stage.name!r}: what is solved is a head on saved features, found {start}"
        )
    if (layers := set(ready.variables["params"]["head"])) != _HEAD:
        raise InputError(
            f"stage {stage.name!r}: what is solved has no hidden layer, found {sorted(layers)}"
        )
