"""Make and compile the one program of a stage, at its first call or ahead of it."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false

import math
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
from jax.sharding import Mesh
from jax.stages import Compiled, Lowered

from tljax.config import Stage
from tljax.inputs.images import Inputs
from tljax.machine import devices, memory
from tljax.optim import transform
from tljax.optim.objective import Objective, balanced
from tljax.train import frozen, step
from tljax.train.ready import Ready
from tljax.train.segments import Arguments, Jitted, make_program, segment_steps, shapes
from tljax.train.step import Apply, TrainStep, Variables
from tljax.tree import flatten

First = Callable[[Variables], step.State]


@dataclass(frozen=True, eq=False)
class Program:
    """Hold a compiled program, and the compiler's figures for it; NaN where there are none.

    `call(state, *segment.arguments)` -> `(state, metrics)`; the state is donated. `step_flops` are
    those of one step: the compiler counts the body of a loop once. `temporary` is the bytes that a
    device needs in addition to state and data.
    """

    call: Compiled
    seconds: float
    step_flops: float
    temporary: float


def pieces(stage: Stage, ready: Ready) -> tuple[First, TrainStep, Apply]:
    """Make `(first state of variables, train step, apply)` of a stage.

    `ready.variables` may be shapes.
    """
    apply = partial(ready.module.apply, start=ready.inputs.start)
    tx = transform.make(stage.optimizer, stage.rules, flatten(ready.variables["params"]))
    weighted = _weighted(stage.objective, ready.inputs)
    make_loss = ready.second.loss if ready.second else step.classification
    train_step = step.make_step(
        loss=make_loss(apply, weighted),
        tx=tx,
        rules=stage.rules,
        ema=stage.ema,
        skip_nonfinite=stage.skip_nonfinite,
    )

    def first(variables: Variables) -> step.State:
        return step.first_state(variables, tx=tx, rules=stage.rules, ema=stage.ema)

    return first, train_step, apply


def start(stage: Stage, ready: Ready, over: Mesh) -> tuple[step.State, TrainStep, Apply]:
    """Make `(state, train step, apply)` of a stage before its first step.

    The state is on the devices, with copies of the variables.
    """
    first, train_step, apply = pieces(stage, ready)
    return devices.put(first(ready.variables), devices.replicated(over)), train_step, apply


def compiled(stage: Stage, program: Jitted, state: step.State, arguments: Arguments) -> Program:
    """Compile the jitted program for a state and arguments, or their shapes.

    InputError if it moves what the rules freeze.
    """
    return _compile(*_traced(stage, program, state, arguments))


def ahead(
    stages: Mapping[str, tuple[Stage, Ready]],
    *,
    tell: Callable[[str, int], None] = lambda name, done: None,
) -> dict[str, Program]:
    """Compile the programs of stages from the outlines of `setup.outline`, and return them by name.

    Nothing is computed. Tracing is Python's; compiling is not: on CPU programs are compiled in
    parallel, and `seconds` are each one's share of the time that all took together. An
    accelerator's compiler times kernels to choose among them, which other compilations disturb:
    there they are compiled one after another, as in processes that train together, which may wait
    for one another. `tell(name, how many are done)` is called after each.
    """
    began = time.perf_counter()
    alone = jax.process_count() > 1 or jax.default_backend() != "cpu"
    workers = 1 if alone else max(1, min(len(stages), _cores()))
    with ThreadPoolExecutor(workers) as pool:
        pending: dict[str, Future[Program]] = {}
        for name, (stage, ready) in stages.items():
            pending[name] = pool.submit(_compile, *_outlined(stage, ready))
        done: dict[str, Program] = {}
        for name, program in pending.items():
            done[name] = program.result()
            tell(name, len(done))
    spent = sum(program.seconds for program in done.values())
    share = (time.perf_counter() - began) / max(1e-9, spent)
    return {
        name: replace(program, seconds=share * program.seconds) for name, program in done.items()
    }


def flops(stage: Stage, ready: Ready) -> float:
    """Count the FLOPs of one step before the compiler has changed anything.

    This is for a stage that no program is compiled for.
    """
    return _flops(_outlined(stage, ready)[1])


def _outlined(stage: Stage, ready: Ready) -> tuple[Stage, Lowered, float]:
    first, train_step, _ = pieces(stage, ready)
    over = devices.mesh_for(stage.batch_size)
    whole = devices.replicated(over)
    state = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole),
        jax.eval_shape(first, ready.variables),
    )
    length = segment_steps(stage.steps_per_epoch(len(ready.inputs.train)))
    arguments = shapes(stage, ready.inputs.train, length, over=over)
    return _traced(stage, make_program(train_step, ready, over), state, arguments)


def _traced(
    stage: Stage, program: Jitted, state: step.State, arguments: Arguments
) -> tuple[Stage, Lowered, float]:
    started = time.perf_counter()
    traced = program.trace(state, *arguments)
    frozen.refuse_moving(stage, traced, state)
    return stage, traced.lower(), time.perf_counter() - started


def _compile(stage: Stage, lowered: Lowered, seconds: float) -> Program:
    started = time.perf_counter()
    with memory.explained(stage):
        call = lowered.compile()
    return Program(
        call=call,
        seconds=seconds + time.perf_counter() - started,
        step_flops=_flops(call),
        temporary=memory.temporary(call),
    )


def _flops(program: Lowered | Compiled) -> float:
    costs: Any = program.cost_analysis()
    return float((costs or {}).get("flops", math.nan))


def _weighted(objective: Objective, inputs: Inputs) -> Objective:
    if objective.class_weights != "balanced":
        return objective
    labels = inputs.train.labels
    return replace(objective, class_weights=balanced(labels, classes=int(labels.max()) + 1))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
