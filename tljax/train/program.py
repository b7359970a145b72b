"""Make and compile the one program of a stage, at its first call or ahead of it."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from tljax.config import Stage
from tljax.errors import InputError
from tljax.inputs.images import Inputs
from tljax.machine import devices, in_turn
from tljax.machine.flops import flops as counted
from tljax.optim import transform
from tljax.optim.objective import Objective
from tljax.train import compiler, frozen, step
from tljax.train.compiler import Program, Queue, Traced
from tljax.train.ready import Ready
from tljax.train.segments import Arguments, Jitted, make_program, segment_steps, shapes
from tljax.train.step import Apply, TrainStep, Variables
from tljax.tree import flatten

First = Callable[[Variables], step.State]


def pieces(stage: Stage, ready: Ready) -> tuple[First, TrainStep, Apply]:
    """Make `(first state of variables, train step, apply)` of a stage.

    `ready.variables` may be shapes.
    """
    apply = ready.apply
    paths = flatten(ready.variables["params"])
    tx = transform.make(stage.optimizer, stage.rules, paths, anchor=ready.anchor)
    make_loss = ready.second.loss if ready.second else step.plain
    train_step = step.make_step(
        loss=make_loss(apply, objective_of(stage, ready.inputs), ready.inputs.task),
        tx=tx,
        rules=stage.rules,
        ema=stage.ema,
        skip_nonfinite=stage.skip_nonfinite,
    )

    def first(variables: Variables) -> step.State:
        return step.first_state(variables, tx=tx, rules=stage.rules, ema=stage.ema)

    return first, train_step, apply


def objective_of(stage: Stage, inputs: Inputs) -> Objective:
    """Return a stage's objective with numbers for what it takes from the training labels.

    InputError for an option that the task does not have.
    """
    tokens = jnp.issubdtype(inputs.train.inputs.dtype, jnp.signedinteger)
    if stage.objective.mixup and tokens:
        found = "tokens: mixup is for a rung on saved views of texts, and for photographs"
        raise InputError(f"stage {stage.name!r}: mixup: expected floats to mix, found {found}")
    if stage.objective.dice and not inputs.task.dense:
        raise InputError(f"stage {stage.name!r}: dice: expected masks, found {inputs.task.name}")
    try:
        return inputs.task.settled(
            stage.objective, inputs.train.labels, classes=len(inputs.classes)
        )
    except InputError as error:
        raise InputError(f"stage {stage.name!r}: {error}") from None


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
    return compiler.compile(_traced(stage, program, state, arguments))


def ahead(
    stages: Mapping[str, tuple[Stage, Ready]],
    *,
    tell: Callable[[str, int], None] = lambda name, done: None,
) -> Mapping[str, Program]:
    """Compile the programs of stages from the outlines of `setup.outline`, and return them by name.

    Nothing is computed. Tracing is Python's; compiling is not: on CPU programs are compiled in
    parallel, and `seconds` are each one's share of the time that all took together. An
    accelerator's compiler times kernels to choose among them, which other compilations disturb:
    there they are compiled one after another in a thread, in the order of `stages` and from the
    first that is traced; asking for a program waits for it, so that the first stage trains while
    later ones are compiled. Processes that train together compile them here one after another,
    because they may wait for one another. `tell(name, how many are done)` is called after each.
    """
    if jax.default_backend() != "cpu" and jax.process_count() == 1:
        queue = Queue(tell)
        try:
            for name, pair in stages.items():
                queue.add(name, outlined(*pair))
        finally:
            queue.close()
        return queue
    began = time.perf_counter()
    workers = 1 if jax.process_count() > 1 else max(1, min(len(stages), _cores()))
    with ThreadPoolExecutor(workers) as pool:
        pending: dict[str, Future[Program]] = {}
        for name, (stage, ready) in stages.items():
            pending[name] = pool.submit(compiler.compile, outlined(stage, ready))
        done: dict[str, Program] = {}
        for name, program in pending.items():
            done[name] = program.result()
            tell(name, len(done))
    spent = sum(program.seconds for program in done.values())
    share = (time.perf_counter() - began) / max(1e-9, spent)
    return {
        name: replace(program, seconds=share * program.seconds) for name, program in done.items()
    }


def at_hand(programs: Mapping[str, Program], name: str) -> Program | None:
    """Return a program of `ahead` if it is compiled, without waiting for it."""
    return programs.at_hand(name) if isinstance(programs, Queue) else programs.get(name)


def flops(stage: Stage, ready: Ready) -> float:
    """Count the FLOPs of one step of a stage that no program is compiled for."""
    return outlined(stage, ready).step_flops


def traced_flops(programs: Mapping[str, Program], name: str) -> float | None:
    """Return the FLOPs of one step of a program of `ahead`, without waiting for it."""
    if isinstance(programs, Queue):
        return programs.step_flops(name)
    return programs[name].step_flops if name in programs else None


def outlined(stage: Stage, ready: Ready) -> Traced:
    """Trace the program of a stage from its outline (`setup.outline`); nothing is computed."""
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


def _traced(stage: Stage, program: Jitted, state: step.State, arguments: Arguments) -> Traced:
    started = time.perf_counter()
    traced = program.trace(state, *arguments)
    frozen.refuse_moving(stage, traced, state)
    step_flops = counted(traced) / arguments[-1]["lr"].shape[0]
    kind, lowered = in_turn.kind_of((state, *arguments)), traced.lower()
    return Traced(stage, lowered, kind, step_flops, time.perf_counter() - started)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
