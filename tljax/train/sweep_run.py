"""Members of a sweep, carried out: stacked, planned, run call by call, and taken apart again."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from tljax.config import Stage
from tljax.errors import InputError
from tljax.optim import rules as rules_lib
from tljax.optim.schedules import Schedule
from tljax.train import devices
from tljax.train.loop import History
from tljax.train.memory import temporary
from tljax.train.step import State
from tljax.train.sweep_members import Given, Member, common, stage_at
from tljax.train.sweep_plan import SweepPlan, memory, planned
from tljax.train.sweep_program import make_stage, over_members, together


@dataclass(frozen=True, eq=False)
class Run:
    """What a member left. `logits` `[N, outputs]` of its validation examples, in their order; times are its share."""

    seed: int
    values: Mapping[str, float | Schedule]
    state: State
    history: History
    logits: np.ndarray
    finite: bool  # every training loss, and every logit


def run_members(
    stage: Stage,
    members: list[Member],
    *,
    module: Any,
    over: Mesh | None = None,
    most: int = 256,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[list[Run], SweepPlan]:
    """Train them all in as few calls of one program as fit. Their inputs, starts and subsets have equal shapes."""
    stages = [stage_at(stage, member.values) for member in members]
    _check(stages)
    over = devices.mesh(jax.devices()[: min(len(members), jax.device_count())]) if over is None else over
    stage = common(stages)
    per_epoch = stage.steps_per_epoch(_train_size(members[0]))
    split = [rules_lib.split(member.variables["params"], stage.rules) for member in members]
    paths = [*split[0][0], *split[0][1]]
    tx, program = make_stage(stage, module=module, inputs=members[0].inputs, paths=paths)
    started = time.perf_counter()
    states = [_first(stage, m, trainable, tx) for m, (trainable, _) in zip(members, split, strict=True)]
    given, rows = Given(stage, per_epoch=per_epoch), max(_held_size(member) for member in members)
    trees = [given.of(m, frozen=frozen, held_rows=rows) for m, (_, frozen) in zip(members, split, strict=True)]
    calls = _Calls(states, trees, program, over)
    limits = {"shared": calls.shared_bytes(), "most": most, "limit": memory()}
    plan, compiled = planned(calls.compiled, members=len(members), devices=over.size, **limits)
    compile_seconds, beside = time.perf_counter() - started, temporary(compiled)
    tell(f"{stage.name}: {plan}")
    runs: list[Run] = []
    for first in range(0, len(members), plan.size):
        began = time.perf_counter()
        done = jax.device_get(compiled(*calls.arguments(first, plan.size)))
        now = range(first, min(first + plan.size, len(members)))
        share = {"seconds": (time.perf_counter() - began) / len(now), "compile": compile_seconds / len(members)}
        share["temporary"] = beside
        for place, at in enumerate(now):
            found = jax.tree.map(lambda leaf, place=place: leaf[place], done)
            rates = trees[at]["hyper"]["lr"][:, -1]
            runs.append(_run(members[at], stages[at], split[at][1], found, per_epoch, rates, share))
    return runs, plan


class _Calls:
    """All members' trees, and the stacked arguments of any stretch of them."""

    def __init__(self, states: list[State], trees: list[Any], program: Any, over: Mesh) -> None:
        self._states, self._structure = states, jax.tree.structure(trees[0])
        self._leaves, axes = together(trees)
        self._program, self._parts, self._whole = (
            over_members(program, axes, over),
            devices.split_batch(over),
            devices.replicated(over),
        )
        self._shared = {
            i: jax.device_put(np.asarray(leaf), self._whole)
            for i, leaf in enumerate(self._leaves)
            if not isinstance(leaf, list)
        }

    def shared_bytes(self) -> int:
        return sum(leaf.nbytes for leaf in self._shared.values())

    def compiled(self, size: int) -> Any:
        """The program for so many members, from shapes alone."""
        state = jax.tree.map(lambda leaf: self._shape(leaf, size), self._states[0])
        given = [
            self._shared[i] if i in self._shared else self._shape(leaf[0], size) for i, leaf in enumerate(self._leaves)
        ]
        return self._program.lower(state, jax.tree.unflatten(self._structure, given)).compile()

    def arguments(self, first: int, size: int) -> tuple[Any, Any]:
        """Of `size` members from `first` on; past the last one, the last again."""
        wanted = [min(i, len(self._states) - 1) for i in range(first, first + size)]
        state = jax.tree.map(lambda *leaves: _stacked(leaves, self._parts), *(self._states[i] for i in wanted))
        given = [
            self._shared[i] if i in self._shared else _stacked([leaf[j] for j in wanted], self._parts)
            for i, leaf in enumerate(self._leaves)
        ]
        return state, jax.tree.unflatten(self._structure, given)

    def _shape(self, leaf: Any, size: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((size, *np.shape(leaf)), leaf.dtype, sharding=self._parts)


def _stacked(leaves: Any, sharding: NamedSharding) -> jax.Array:
    return jax.device_put(np.stack([np.asarray(leaf) for leaf in leaves]), sharding)


def _first(stage: Stage, member: Member, trainable: dict[str, Any], tx: Any) -> State:
    """Before the first step, in the host's memory; `params` are the trainable leaves, flat."""
    model_state = {name: tree for name, tree in member.variables.items() if name != "params"}
    averages = {} if stage.ema is None else dict(trainable)
    state = State(jnp.int32(0), dict(trainable), model_state, tx.init(trainable), averages)
    return jax.tree.map(np.asarray, state)


def _run(
    member: Member, stage: Stage, frozen: Any, found: Any, per_epoch: int, rates: np.ndarray, share: dict[str, float]
) -> Run:
    state, train, validation, logits = found
    images = stage.epochs * per_epoch * stage.batch_size
    speed = images / max(share["seconds"], 1e-9)
    history = History(
        seconds=share["seconds"] + share["compile"],
        compile_seconds=share["compile"],
        train_seconds=share["seconds"],
        images_per_second=speed,
        step_flops=math.nan,  # the program is more than a step
        temporary_bytes=share["temporary"],
    )
    for epoch in range(stage.epochs):
        record = {
            "rung": stage.name,
            "seed": member.seed,
            "epoch": epoch + 1,
            "step": (epoch + 1) * per_epoch,
            "train": _means(train, epoch),
            "validation": {**_means(validation, epoch), "n": int(validation["count"][epoch])},
            "rates": {p: m * float(rates[epoch]) for p, m in rules_lib.multipliers(stage.rules).items()},
            "grad_norm": float(train["grad_norm"][epoch]) / per_epoch,
            "images_per_second": speed,
            "seconds": share["compile"] + share["seconds"] * (epoch + 1) / stage.epochs,
        }
        history.epochs.append(record)
    finite = bool(np.isfinite(train["loss"]).all() and np.isfinite(logits).all())
    whole = state.replace(params=rules_lib.merge(state.params, frozen))
    return Run(member.seed, member.values, whole, history, logits[: _held_size(member)], finite)


def _means(sums: dict[str, np.ndarray], epoch: int) -> dict[str, float]:
    count = float(sums["count"][epoch])
    return {"loss": float(sums["loss"][epoch]) / count, "accuracy": float(sums["correct"][epoch]) / count}


def _train_size(member: Member) -> int:
    return len(member.inputs.train) if member.train is None else len(member.train)


def _held_size(member: Member) -> int:
    return len(member.inputs.validation) if member.held is None else len(member.held)


def _check(stages: list[Stage]) -> None:
    for stage in stages:
        if stage.lr == "find":
            raise InputError(f'stage {stage.name!r}: lr="find" finds a rate a run: give the sweep numbers or schedules')
        if stage.patience is not None:
            raise InputError(f"stage {stage.name!r}: patience ends each run at an epoch of its own: no sweep has it")
        if stage.skip_nonfinite:
            raise InputError(f"stage {stage.name!r}: skip_nonfinite: a sweep says of each run whether it stayed finite")
