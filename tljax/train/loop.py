"""The only loop: a stage in, a trained state and its history out."""

# pyright: strict
# pyright: reportUnknownMemberType=false

import math
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
from jax.sharding import Mesh

from tljax.config import Stage
from tljax.errors import InputError
from tljax.machine import devices, memory
from tljax.optim import transform
from tljax.train import early_stopping, frozen, nonfinite, step
from tljax.train.evaluate import make_evaluate
from tljax.train.history import History, OnEpoch, Record, ignore, start_of
from tljax.train.journal import Journal
from tljax.train.program import Program, compiled, start
from tljax.train.ready import Ready
from tljax.train.resume import Place, Saver
from tljax.train.segments import Segment, make_program, segments


def train_stage(
    stage: Stage,
    ready: Ready,
    *,
    seed: int,
    over: Mesh | None = None,
    saver: Saver | None = None,
    program: Program | None = None,
    on_epoch: OnEpoch = ignore,
    progress: bool = True,
) -> tuple[step.State, History]:
    """Train `ready.variables` by the stage's rules; call `on_epoch` with a record per epoch.

    The first record is that of epoch 0: the scores of the variables before any step. A stage that
    collapses says so in one line, and returns to its best state (`tljax.train.outcome.collapse`).

    Each epoch is a few compiled programs, each a scan over steps: gather, augment, step. The result
    depends on `seed` and the data, not on where the programs are cut. Leaves that trained in
    the stage before start with its optimizer state, `ready.carried`. `ready.resumed` is continued
    at its place in the data. `saver` saves the progress of the stage, and continues what it has
    saved. `program` is the stage's, if it was compiled ahead (`program.ahead`). InputError for a
    rate that is to be found.
    """
    over = _mesh(stage, ready, over)
    began = time.perf_counter()
    state, train_step, apply = start(stage, ready, over)
    state = _begun(state, ready, over)
    place = _restored(stage, state, saver, over)
    state, first = place.state, _first_step(stage, ready, place)
    jitted = make_program(train_step, ready, over)
    evaluate = make_evaluate(
        apply=apply,
        prepare=ready.inputs.plain,
        examples=ready.inputs.validation,
        batch_size=max(stage.batch_size, 32 * over.size),
        over=over,
        task=ready.inputs.task,
    )
    journal = Journal(
        stage,
        ready,
        place,
        first_step=first,
        seed=seed,
        began=began,
        on_epoch=on_epoch,
        progress=progress,
    )
    journal.begin(state, evaluate)
    with saver or nullcontext(), journal:
        for segment in segments(stage, ready, seed=seed, over=over, first_step=first):
            program = program or compiled(stage, jitted, state, segment.arguments)
            journal.compiled(program)
            started = time.perf_counter()
            with memory.explained(stage, program.call):
                state, metrics = program.call(state, *segment.arguments)
                done = {name: np.asarray(value, np.float64) for name, value in metrics.items()}
            journal.add(done, seconds=time.perf_counter() - started)
            if segment.first_step == first:
                resumed = ready.resumed
                before = ready.variables if resumed is None else frozen.variables(resumed)
                frozen.refuse_moved(stage, before=before, after=state)
            _refuse_nonfinite(stage, segment, state, done["loss"], saver)
            last = journal.after(segment, state, evaluate)
            if saver:
                place = partial(
                    _sound, journal.place(state, ended=last), stage=stage.name, step=segment.end
                )
                saver.after(place, step=segment.end, ended=last)
            if last:
                break
    if saver is None:  # else its last save has
        nonfinite.refuse_state(state, stage=stage.name, step=int(state.step))
    if (held := journal.finish()) is not None:
        state = devices.put(
            early_stopping.whole(held, state, stage.rules), devices.replicated(over)
        )
    return state, journal.history


def _mesh(stage: Stage, ready: Ready, over: Mesh | None) -> Mesh:
    """Return the devices to train on; InputError for a stage that cannot be trained."""
    if stage.lr == "find":
        raise InputError(
            f'stage {stage.name!r}: lr="find" is no rate yet: '
            "tljax.lr_find finds one, and tljax.train_plan finds it before it trains"
        )
    sizes = [stage.batch_size, *([ready.second.batch_size] if ready.second else [])]
    over = devices.mesh_for(math.gcd(*sizes)) if over is None else over
    for size in sizes:
        devices.check_batch(size, over)
    return over


def _begun(state: step.State, ready: Ready, over: Mesh) -> step.State:
    """Return the state to start from: fresh, with optimizer state carried over, or resumed."""
    if ready.carried is None and ready.resumed is None:
        return state
    if ready.carried is not None:
        state = state.replace(opt_state=transform.carry(ready.carried, state.opt_state))
    if ready.resumed is not None:
        state = ready.resumed
    return devices.put(state, devices.replicated(over))


def _restored(stage: Stage, state: step.State, saver: Saver | None, over: Mesh) -> Place:
    """Return the newest place that was saved, with its state on the devices; else the start."""
    place = (
        saver.restore(state, held=early_stopping.trainable(state, stage.rules)) if saver else None
    )
    if place is None:
        return Place(state)
    return replace(place, state=devices.put(place.state, devices.replicated(over)))


def _first_step(stage: Stage, ready: Ready, place: Place) -> int:
    """Return the step to continue at; InputError for a state that is not at the end of an epoch."""
    per_epoch = stage.steps_per_epoch(len(ready.inputs.train))
    first, steps = int(place.state.step), stage.epochs * per_epoch
    if place.ended:
        return steps
    if (first % per_epoch and not place.sums) or first > steps:
        raise InputError(
            f"stage {stage.name!r}: a state of step {first} cannot be continued: "
            f"expected the end of one of its {stage.epochs} epochs of {per_epoch} steps"
        )
    return first


def _refuse_nonfinite(
    stage: Stage, segment: Segment, state: step.State, losses: np.ndarray, saver: Saver | None
) -> None:
    """Raise an InputError where a loss of the segment is not finite.

    A place that was saved just before the step is removed.
    """
    if (bad := nonfinite.first_step(losses, of=segment.first_step)) is not None:
        if saver:
            saver.discard(bad)
        nonfinite.refuse(state, stage=stage.name, step=bad)


def _sound(place: Place, *, stage: str, step: int) -> Place:
    """Check that a place can be continued, before it replaces the last one that was saved."""
    nonfinite.refuse_state(place.state, stage=stage, step=step)
    return place


__all__ = ["History", "OnEpoch", "Record", "ignore", "start_of", "train_stage"]
