"""A stage's one compiled program: what it starts from, and how it is compiled, at its first call or ahead of it."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false

import math
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import jax
from jax import Array
from jax.sharding import Mesh

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
    """Compiled, and what the compiler says about it; NaN where it does not say.

    `call(state, *segment.arguments)` -> `(state, metrics)`; the state is donated. `step_flops` are those of one step:
    the compiler counts the body of a loop once. `temporary` bytes of a device, beside state and data.
    """

    call: Any
    seconds: float
    step_flops: float
    temporary: float


def pieces(stage: Stage, ready: Ready) -> tuple[First, TrainStep, Apply]:
    """`(first state of variables, train step, apply)` of a stage; `ready.variables` may be shapes."""
    apply = _apply(ready)
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
    """`(state, train step, apply)` of a stage on the devices, before its first step; its variables are copied."""
    first, train_step, apply = pieces(stage, ready)
    return devices.put(first(ready.variables), devices.replicated(over)), train_step, apply


def compiled(stage: Stage, program: Jitted, state: step.State, arguments: Arguments) -> Program:
    """The jitted program for this state and these arguments, or their shapes. InputError if it moves what is frozen."""
    return _compile(*_traced(stage, program, state, arguments))


def ahead(
    stages: Mapping[str, tuple[Stage, Ready]],
    *,
    tell: Callable[[str, int], None] = lambda name, done: None,
) -> dict[str, Program]:
    """The programs of stages with what `setup.outline` makes of them, before anything is computed.

    Tracing is Python's; compiling is not: on CPU it goes on side by side, and `seconds` are each one's share of the
    time that all took together. An accelerator's compiler times kernels to choose among them, which other compilations
    disturb: there it is one after another, as in processes that train together, which may wait for one another.
    `tell(name, how many are done)` after each.
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
    share = (time.perf_counter() - began) / max(
        1e-9, sum(program.seconds for program in done.values())
    )
    return {
        name: replace(program, seconds=share * program.seconds) for name, program in done.items()
    }


def flops(stage: Stage, ready: Ready) -> float:
    """Of one step, counted before the compiler has changed anything, for a stage that no program is compiled for."""
    return _flops(_outlined(stage, ready)[1])


def _outlined(stage: Stage, ready: Ready) -> tuple[Stage, Any, float]:
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
) -> tuple[Stage, Any, float]:
    started = time.perf_counter()
    traced = program.trace(state, *arguments)
    frozen.refuse_moving(stage, traced, state)
    return stage, traced.lower(), time.perf_counter() - started


def _compile(stage: Stage, lowered: Any, seconds: float) -> Program:
    started = time.perf_counter()
    with memory.explained(stage):
        call = lowered.compile()
    return Program(
        call=call,
        seconds=seconds + time.perf_counter() - started,
        step_flops=_flops(call),
        temporary=memory.temporary(call),
    )


def _flops(program: Any) -> float:
    return float((program.cost_analysis() or {}).get("flops", math.nan))


def _weighted(objective: Objective, inputs: Inputs) -> Objective:
    if objective.class_weights != "balanced":
        return objective
    labels = inputs.train.labels
    return replace(objective, class_weights=balanced(labels, classes=int(labels.max()) + 1))


def _apply(ready: Ready) -> Apply:
    def apply(variables: Variables, x: Array, /, **options: Any) -> Any:
        return ready.module.apply(variables, x, start=ready.inputs.start, **options)

    return apply


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
