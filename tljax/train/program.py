"""Make and compile the one program of a stage, at its first call or ahead of it."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import jax
from jax.sharding import Mesh
from jax.stages import Compiled, Lowered

from tljax.config import Stage
from tljax.errors import InputError
from tljax.inputs.images import Inputs
from tljax.machine import devices, memory
from tljax.machine.flops import flops as counted
from tljax.optim import transform
from tljax.optim.objective import Objective
from tljax.train import frozen, step
from tljax.train.ready import Ready
from tljax.train.segments import Arguments, Jitted, make_program, segment_steps, shapes
from tljax.train.step import Apply, TrainStep, Variables
from tljax.tree import flatten

First = Callable[[Variables], step.State]


@dataclass(frozen=True, eq=False)
class Program:
    """Hold a compiled program and its figures; NaN where there are none.

    `call(state, *segment.arguments)` -> `(state, metrics)`; the state is donated. `seconds` are
    those that the run waited for it. `step_flops` are those of the products of one step on all
    devices, by the formula of `machine.flops`. `temporary` is the bytes that a device needs in
    addition to state and data.
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


@dataclass(frozen=True)
class _Traced:
    """A stage's program before the compiler has seen it, and the seconds that took."""

    stage: Stage
    lowered: Lowered
    step_flops: float
    seconds: float


def compiled(stage: Stage, program: Jitted, state: step.State, arguments: Arguments) -> Program:
    """Compile the jitted program for a state and arguments, or their shapes.

    InputError if it moves what the rules freeze.
    """
    return _compile(_traced(stage, program, state, arguments))


def ahead(
    stages: Mapping[str, tuple[Stage, Ready]],
    *,
    tell: Callable[[str, int], None] = lambda name, done: None,
) -> Mapping[str, Program]:
    """Compile the programs of stages from the outlines of `setup.outline`, and return them by name.

    Nothing is computed. Tracing is Python's; compiling is not: on CPU programs are compiled in
    parallel, and `seconds` are each one's share of the time that all took together. An
    accelerator's compiler times kernels to choose among them, which other compilations disturb:
    there they are compiled one after another in a thread, and asking for a program waits for it, so
    that the first stage trains while later ones are compiled. Processes that train together compile
    them here one after another, because they may wait for one another. `tell(name, how many are
    done)` is called after each.
    """
    if jax.default_backend() != "cpu" and jax.process_count() == 1:
        return _Queue({name: _outlined(*pair) for name, pair in stages.items()}, tell)
    began = time.perf_counter()
    workers = 1 if jax.process_count() > 1 else max(1, min(len(stages), _cores()))
    with ThreadPoolExecutor(workers) as pool:
        pending: dict[str, Future[Program]] = {}
        for name, (stage, ready) in stages.items():
            pending[name] = pool.submit(_compile, _outlined(stage, ready))
        done: dict[str, Program] = {}
        for name, program in pending.items():
            done[name] = program.result()
            tell(name, len(done))
    spent = sum(program.seconds for program in done.values())
    share = (time.perf_counter() - began) / max(1e-9, spent)
    return {
        name: replace(program, seconds=share * program.seconds) for name, program in done.items()
    }


class _Queue(Mapping[str, Program]):
    """Programs that a thread compiles in order; whoever asks for one waits for it.

    Its `seconds` are then those that were waited. An error is raised where its program is asked
    for. Where the main thread ends, no further program is begun.
    """

    def __init__(self, traced: dict[str, _Traced], tell: Callable[[str, int], None]) -> None:
        self._traced, self._tell = traced, tell
        self._done: dict[str, Future[Program]] = {name: Future() for name in traced}
        self._given: dict[str, Program] = {}
        threading.Thread(target=self._work).start()

    def __getitem__(self, name: str) -> Program:
        if name not in self._given:
            began, future = time.perf_counter(), self._done[name]
            program = future.result()
            waited = self._traced[name].seconds + time.perf_counter() - began
            self._given[name] = replace(program, seconds=waited)
        return self._given[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._done)

    def __len__(self) -> int:
        return len(self._done)

    def at_hand(self, name: str) -> Program | None:
        """Return a program that is compiled; None without waiting for one that is not."""
        future = self._done.get(name)
        return self[name] if future is not None and future.done() else None

    def _work(self) -> None:
        for count, (name, future) in enumerate(self._done.items(), start=1):
            if not threading.main_thread().is_alive():
                return
            try:
                future.set_result(_compile(self._traced[name]))
            except BaseException as error:  # raised again by whoever asks for the program
                future.set_exception(error)
            else:
                self._tell(name, count)


def at_hand(programs: Mapping[str, Program], name: str) -> Program | None:
    """Return a program of `ahead` if it is compiled, without waiting for it."""
    return programs.at_hand(name) if isinstance(programs, _Queue) else programs.get(name)


def flops(stage: Stage, ready: Ready) -> float:
    """Count the FLOPs of one step of a stage that no program is compiled for."""
    return _outlined(stage, ready).step_flops


def _outlined(stage: Stage, ready: Ready) -> _Traced:
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


def _traced(stage: Stage, program: Jitted, state: step.State, arguments: Arguments) -> _Traced:
    started = time.perf_counter()
    traced = program.trace(state, *arguments)
    frozen.refuse_moving(stage, traced, state)
    step_flops = counted(traced) / arguments[-1]["lr"].shape[0]
    return _Traced(stage, traced.lower(), step_flops, time.perf_counter() - started)


def _compile(traced: _Traced) -> Program:
    started = time.perf_counter()
    with memory.explained(traced.stage):
        call = traced.lowered.compile()
    return Program(
        call=call,
        seconds=traced.seconds + time.perf_counter() - started,
        step_flops=traced.step_flops,
        temporary=memory.temporary(call),
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
