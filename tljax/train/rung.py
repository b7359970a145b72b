"""Train one rung of the ladder: a stage of a network, from a base or from the rung before."""

# pyright: strict
# pyright: reportUnknownMemberType=false

import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from tljax.config import Stage
from tljax.errors import InputError
from tljax.files import orbax_store
from tljax.inputs.images import Inputs
from tljax.machine import devices
from tljax.optim import low_rank
from tljax.optim import rules as rules_lib
from tljax.train import logits as predictions
from tljax.train import loop, lr_finder, solver
from tljax.train.history import OnEpoch, ignore
from tljax.train.outcome import alarms
from tljax.train.outcome.trained import Trained
from tljax.train.program import Program, pieces, start
from tljax.train.ready import Ready
from tljax.train.resume import Slot
from tljax.train.segments import hyperparameters
from tljax.train.step import Params, State, averaged
from tljax.tree import flatten


def run(
    stage: Stage,
    ready: Ready,
    *,
    seed: int,
    slot: Slot | None = None,
    program: Program | None = None,
    on_epoch: OnEpoch = ignore,
    progress: bool = True,
) -> Trained:
    """Train one rung, from what `setup.prepare` made ready.

    With a `slot`, a rung that was finished there is restored, and one that was stopped is
    continued. `program` is the stage's where it was compiled ahead.
    """
    if slot is not None and slot.finished is not None:
        try:
            return _restored(stage, ready, slot.finished)
        except InputError as error:
            print(f"{error}; trained again", flush=True)
    if stage.solver == "lbfgs":
        state, history, solution = solver.solve_stage(
            stage, ready, seed=seed, on_epoch=on_epoch, progress=progress
        )
        return replace(trained(stage, ready, state, history), solution=solution)
    began = time.perf_counter()
    finding = lr_finder.find(stage, ready, seed=seed) if stage.lr == "find" else None
    spent = time.perf_counter() - began + (program.seconds if program else 0.0)
    if finding:
        stage = replace(stage, lr=lr_finder.valley(stage, finding))
    state, history = loop.train_stage(
        stage,
        ready,
        seed=seed,
        on_epoch=on_epoch,
        saver=slot.saver if slot else None,
        program=program,
        progress=progress,
    )
    history.seconds += spent
    return replace(trained(stage, ready, state, history), finding=finding)


def check(stage: Stage, ready: Ready) -> None:
    """Check that a rung can be trained, from an outline of it, before anything is written.

    InputError for what `run` would refuse: the task and its options, rules, rates.
    """
    if stage.solver == "lbfgs":
        solver.refuse_other(stage, ready)
    pieces(stage, ready)
    if stage.lr != "find":
        hyperparameters(stage, steps=stage.epochs * stage.steps_per_epoch(len(ready.inputs.train)))


def _restored(stage: Stage, ready: Ready, directory: Path) -> Trained:
    target, *_ = start(stage, ready, devices.mesh_for(stage.batch_size))
    target = _plain(target, stage)
    step = orbax_store.latest_step(directory)
    if step is None:
        raise InputError(f"{directory}: expected the checkpoint of a finished rung, found none")
    state, meta = orbax_store.restore(directory, step, target)
    rung = trained(stage, ready, state, loop.History(task=ready.inputs.task))
    return replace(rung, restored=True, seed=meta["seed"])


def trained(stage: Stage, ready: Ready, state: State, history: loop.History) -> Trained:
    """Make the result of a rung from its last state, with its logits on the held-out images.

    Low-rank updates become part of their kernels: what comes after reads a plain classifier. The
    seconds of its history become those of the whole rung, which includes making it ready and
    computing the logits.
    """
    began = time.perf_counter()
    trainable, _ = rules_lib.split(ready.variables["params"], stage.rules)
    state = _plain(state, stage)
    moved, total = _count(trainable), _count(flatten(state.params))
    logits = predictions.held_out(
        state, module=ready.module, inputs=ready.inputs, batch_size=stage.batch_size
    )
    history.features_seconds = ready.inputs.seconds
    alarm = _alarm(stage, history, logits["validation"], ready.inputs)
    history.seconds += ready.seconds + time.perf_counter() - began
    return Trained(
        state,
        history,
        ready.described(),
        ready.preprocess,
        moved,
        total,
        logits,
        classes=ready.inputs.classes,
        size=ready.inputs.size,
        rung=stage.name,
        seed=history.epochs[-1]["seed"] if history.epochs else 0,  # a restored one's is in its meta
        scores=predictions.scores_of(logits, ready.inputs),
        stage=asdict(stage),
        data=ready.inputs.digest,
        files=ready.inputs.files,
        alarm=alarm,
        task=ready.inputs.task,
    )


def _plain(state: State, stage: Stage) -> State:
    """Add low-rank updates, averaged ones where there are, to their kernels; others stay."""
    if low_rank.NAME not in state.params:
        return state
    factors, params = averaged(state)[low_rank.NAME], low_rank.merged(averaged(state))
    over = devices.replicated(devices.mesh_for(stage.batch_size))
    return state.replace(params=devices.put(params, over), ema={}, factors=factors)


def _alarm(
    stage: Stage, history: loop.History, kept: np.ndarray, inputs: Inputs
) -> alarms.Alarm | None:
    """Print what is wrong with a stage that was just trained, and return it.

    A stage that learnt nothing has already said so: it is not also reported as at chance.
    """
    if not history.epochs:
        return None
    end = history.result()
    labels, loss = inputs.validation.labels, end["train"]["loss"]
    solved = stage.solver == "lbfgs"
    alarm = alarms.alarm(kept, labels, training_loss=loss, task=inputs.task, solved=solved)
    learnt_nothing = history.collapsed is not None and history.collapsed.learnt_nothing
    if alarm is None or (alarm.kind != "overconfident" and learnt_nothing):
        return None
    alarms.say(alarm, stage=stage.name, seed=end["seed"])
    return alarm


def _count(leaves: Params) -> int:
    return sum(leaf.size for leaf in leaves.values())
