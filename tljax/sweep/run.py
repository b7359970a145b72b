"""The members of a sweep: planned, run call by call, and separated again."""

# pyright: strict
# pyright: reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jax.stages import Compiled

from tljax.config import Stage
from tljax.errors import InputError
from tljax.machine import devices, signals
from tljax.machine.memory import temporary
from tljax.optim import rules as rules_lib
from tljax.optim.schedules import Schedule
from tljax.sweep.calls import Calls
from tljax.sweep.finished_calls import Found, Kept
from tljax.sweep.members import Member, Members, common, stage_at
from tljax.sweep.memory_plan import SweepPlan
from tljax.sweep.program import make_stage
from tljax.tasks.task import Task, unknown
from tljax.train.history import History, Record, start_of
from tljax.train.step import State
from tljax.tree import statistics


@dataclass(frozen=True, eq=False)
class Run:
    """A member's result. `logits` `[N, outputs]` of its validation examples, in their order.

    Times are its share of the call's.
    """

    seed: int
    values: Mapping[str, float | Schedule]
    state: State | None  # None where calls are kept on disk, because states are not
    history: History
    logits: np.ndarray
    finite: bool  # every training loss, and every logit


def run_members(
    stage: Stage,
    members: list[Member],
    *,
    over: Mesh | None = None,
    most: int | None = None,
    kept: Kept | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[list[Run], SweepPlan]:
    """Train all members in as few calls of one program as fit.

    Their inputs, starts and subsets have equal shapes. With `kept`, each call is kept as it ends, a
    signal ends the sweep after the running one, and members found there are not trained again: the
    plan is that of the others.
    """
    stages = [stage_at(stage, member.values) for member in members]
    _check(stages)
    if over is None:
        over = devices.mesh(jax.devices()[: min(len(members), jax.device_count())])
    keys = [kept.key(*pair) for pair in zip(stages, members, strict=True)] if kept else []
    before = kept.read(stage) if kept else {}
    done = {i: before[key] for i, key in enumerate(keys) if key in before}
    missing = [i for i in range(len(members)) if i not in done]
    started = time.perf_counter()
    ready = _Ready(common(stages), members, over=over)
    states: dict[int, State] = {}
    plan, share = SweepPlan(0, 1, over.size, 0), (0.0, math.nan)
    if missing:
        plan, compiled = ready.calls.planned(len(missing), most=most, size=kept.size if kept else 0)
        share = (time.perf_counter() - started) / len(missing), temporary(compiled)
        tell(f"{stage.name}: {plan}")
        with signals.deferred() if kept else contextlib.nullcontext():
            calls = ready.carried_out(compiled, missing, size=plan.size, states=not kept)
            for ids, call, moved in calls:
                if kept:
                    kept.write({keys[i]: one for i, one in zip(ids, call, strict=True)})
                    signals.stop_if_waiting()
                done |= zip(ids, call, strict=True)
                states |= zip(ids, moved, strict=False)
                if plan.calls > 1:
                    tell(f"{stage.name}: {len(done)} of {len(members)} members trained")
    shares = dict.fromkeys(missing, share)
    costs = [shares.get(i, (0.0, math.nan)) for i in range(len(members))]
    runs = [ready.run(i, stages[i], done[i], states.get(i), cost) for i, cost in enumerate(costs)]
    return runs, plan


class _Ready:
    """Members with everything that their calls need."""

    def __init__(self, stage: Stage, members: list[Member], *, over: Mesh) -> None:
        self._members, self._per_epoch = members, stage.steps_per_epoch(_train_size(members[0]))
        split = [
            rules_lib.split(member.ready.variables["params"], stage.rules) for member in members
        ]
        self._frozen = [frozen for _, frozen in split]
        paths = [*split[0][0], *split[0][1]]
        tx, program = make_stage(stage, members[0].ready, paths=paths)
        states = [
            _first(stage, m, trainable, tx)
            for m, (trainable, _) in zip(members, split, strict=True)
        ]
        data = Members(stage, per_epoch=self._per_epoch)
        rows = max(_held_size(member) for member in members)
        trees = [
            data.given(m, frozen=frozen, held_rows=rows)
            for m, frozen in zip(members, self._frozen, strict=True)
        ]
        self._rates = [tree.hyper["lr"][:, -1] for tree in trees]
        self.calls = Calls(states, trees, program, over)

    def carried_out(
        self, compiled: Compiled, members: list[int], *, size: int, states: bool
    ) -> Iterator[tuple[list[int], list[Found], list[State]]]:
        """Run the calls one by one: yield members, their results, and their states if asked for."""
        began = time.perf_counter()
        for ids, (moved, *sums) in self.calls.run(compiled, members, size=size):
            count, (train, validation, logits) = len(ids), jax.device_get(sums)
            seconds = (time.perf_counter() - began) / count
            call = [
                Found(_at(train, i), _at(validation, i), logits[i], seconds) for i in range(count)
            ]
            moved = jax.device_get(moved) if states else None
            yield ids, call, [_at(moved, i) for i in range(count)] if states else []
            began = time.perf_counter()

    def run(
        self, i: int, stage: Stage, found: Found, state: State | None, share: tuple[float, float]
    ) -> Run:
        """Assemble a member's result from its sums and state."""
        member, per_epoch = self._members[i], self._per_epoch
        compile_seconds, temporary_bytes = share
        task = member.ready.inputs.task
        images = stage.epochs * per_epoch * stage.batch_size
        speed = images / max(found.seconds, 1e-9)
        history = History(
            seconds=found.seconds + compile_seconds,
            compile_seconds=compile_seconds,
            train_seconds=found.seconds,
            images_per_second=speed,
            step_flops=math.nan,  # the program is more than a step
            temporary_bytes=temporary_bytes,
            task=task,
        )
        scores, name = _scores(task, found.validation, 0), stage.name
        history.epochs.append(
            start_of(
                name,
                seed=member.seed,
                nothing=unknown(task),
                validation=scores,
                seconds=compile_seconds,
            )
        )
        for epoch in range(stage.epochs):
            rate = float(self._rates[i][epoch])
            record: Record = {
                "rung": name,
                "seed": member.seed,
                "epoch": epoch + 1,
                "step": (epoch + 1) * per_epoch,
                "train": _means(task, found.train, epoch),
                "validation": _scores(task, found.validation, epoch + 1),
                "rates": {
                    path: times * rate for path, times in rules_lib.multipliers(stage.rules).items()
                },
                "grad_norm": float(found.train["grad_norm"][epoch]) / per_epoch,
                "images_per_second": speed,
                "seconds": compile_seconds + found.seconds * (epoch + 1) / stage.epochs,
            }
            history.epochs.append(record)
        finite = bool(np.isfinite(found.train["loss"]).all() and np.isfinite(found.logits).all())
        whole = state and state.replace(params=rules_lib.merge(state.params, self._frozen[i]))
        return Run(
            member.seed, member.values, whole, history, found.logits[: _held_size(member)], finite
        )


def _first(
    stage: Stage, member: Member, trainable: dict[str, Any], tx: optax.GradientTransformation
) -> State:
    """Make the state before the first step, in the host's memory.

    Its `params` are the trainable leaves, flat.
    """
    model_state = statistics(member.ready.variables)
    averages = {} if stage.ema is None else dict(trainable)
    state = State(jnp.int32(0), dict(trainable), model_state, tx.init(trainable), averages)
    return jax.tree.map(np.asarray, state)


def _at(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], tree)


def _means(task: Task, sums: Mapping[str, np.ndarray], epoch: int) -> dict[str, float]:
    now = {name: np.asarray(each[epoch], np.float64) for name, each in sums.items()}
    return {"loss": float(now["loss"]) / float(now["count"]), **task.scores(now)}


def _scores(task: Task, sums: Mapping[str, np.ndarray], epoch: int) -> dict[str, float]:
    return {**_means(task, sums, epoch), "n": int(sums["count"][epoch])}


def _train_size(member: Member) -> int:
    return len(member.ready.inputs.train) if member.train is None else len(member.train)


def _held_size(member: Member) -> int:
    return len(member.ready.inputs.validation) if member.held is None else len(member.held)


def _check(stages: list[Stage]) -> None:
    for stage in stages:
        if stage.lr == "find":
            raise InputError(
                f'stage {stage.name!r}: lr="find" finds a rate a run: '
                "give the sweep numbers or schedules"
            )
        if stage.patience is not None:
            raise InputError(
                f"stage {stage.name!r}: patience ends each run at an epoch of its own: "
                "no sweep has it"
            )
        if stage.skip_nonfinite:
            raise InputError(
                f"stage {stage.name!r}: skip_nonfinite: "
                "a sweep says of each run whether it stayed finite"
            )
