"""A stage solved in place of its steps: a linear head on saved features, as `loop.train_stage` would leave it."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from tljax.config import Stage
from tljax.errors import InputError
from tljax.inputs.images import Inputs
from tljax.linear.logistic import Solution, fit_logistic
from tljax.machine import devices, processes
from tljax.models.heads import Head, rms_norm
from tljax.train.evaluate import make_evaluate
from tljax.train.loop import History, start_of
from tljax.train.program import start
from tljax.train.step import State

_HEAD = {"predictions"}  # of `Network(hidden=0)`


def solve_stage(
    stage: Stage,
    *,
    module: Any,
    variables: dict[str, Any],
    inputs: Inputs,
    seed: int,
    on_epoch: Callable[[dict[str, Any], State], None] = lambda record, state: None,
    progress: bool = True,
) -> tuple[State, History, Solution]:
    """Fit the logistic regression to `inputs` as the stage's state, with a record of its start and one of its end.

    `seed` deals out the folds and decides nothing else. InputError for a head with a hidden layer, and where something
    of the base runs between what was saved and the head.
    """
    began = time.perf_counter()
    _refuse_other(stage, variables, inputs)
    over = devices.mesh_for(stage.batch_size)
    state, _, apply = start(stage, module=module, variables=variables, inputs=inputs, over=over)
    sets: dict[str, Any] = {"apply": apply, "prepare": inputs.plain, "over": over}
    sets["batch_size"] = max(stage.batch_size, 32 * over.size)
    evaluate = make_evaluate(examples=inputs.validation, **sets)

    def record(validation: dict[str, float]) -> dict[str, Any]:
        return start_of(stage.name, seed=seed, validation=validation, seconds=time.perf_counter() - began)

    epochs = [record(evaluate(state))]
    on_epoch(epochs[0], state)
    state, solution = _solved(state, inputs, head=module.head, seed=seed, over=over)
    train = make_evaluate(examples=inputs.train, **sets)(state)
    epochs.append({**record(evaluate(state)), "epoch": 1, "step": 1, "train": train})
    on_epoch(epochs[1], state)
    if progress and processes.first():
        print(f"{stage.name}: {solution.said()}", flush=True)
    history = History(epochs, seconds=epochs[1]["seconds"], images_per_second=math.nan, step_flops=math.nan)
    return state, history, solution


def _solved(state: State, inputs: Inputs, *, head: Head, seed: int, over: Mesh) -> tuple[State, Solution]:
    rows = inputs.plain(jnp.asarray(inputs.train.inputs)).reshape(len(inputs.train.inputs), -1)
    features = np.asarray(rms_norm(rows) if head.norm else rows)
    kernel, bias, solution = fit_logistic(features, inputs.train.labels, classes=max(2, head.outputs), seed=seed)
    layer = processes.from_first({"kernel": kernel, "bias": bias})
    step, fitted = devices.put((np.int32(1), layer), devices.replicated(over))
    return state.replace(step=step, params={**state.params, "head": {"predictions": fitted}}), solution


def _refuse_other(stage: Stage, variables: dict[str, Any], inputs: Inputs) -> None:
    if inputs.start != "head":
        raise InputError(f"stage {stage.name!r}: what is solved is a head on saved features, found {inputs.start}")
    if (layers := set(variables["params"]["head"])) != _HEAD:
        raise InputError(f"stage {stage.name!r}: what is solved has no hidden layer, found {sorted(layers)}")
