"""The only loop: a stage in, a trained state and its history out."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from tljax.config import Stage
from tljax.errors import InputError
from tljax.inputs.images import Inputs
from tljax.machine import devices, memory
from tljax.optim import rules as rules_lib
from tljax.optim import transform
from tljax.train import collapse, early_stopping, frozen, nonfinite, step
from tljax.train.evaluate import make_evaluate
from tljax.train.program import Program, compiled, start
from tljax.train.resume import Place, Saver
from tljax.train.second_batch import Beside
from tljax.train.segments import make_program, segment_steps, segments


@dataclass
class History:
    """What happened in a stage: a record per epoch, from the start's as epoch 0 on, and what it cost."""

    epochs: list[dict[str, Any]] = field(default_factory=list)
    kept: int | None = None  # the epoch whose state was returned, if the stage stepped back from the last
    collapsed: collapse.Collapse | None = None
    seconds: float = 0.0  # of `train_stage`; once the rung is done (`rung.trained`), of all of it
    features_seconds: float = 0.0  # in which activations of the frozen prefix were made or read
    compile_seconds: float = 0.0
    train_seconds: float = 0.0  # in compiled steps alone
    images_per_second: float = 0.0  # of training alone
    step_flops: float = 0.0  # of the compiled step, by the compiler's count
    temporary_bytes: float = math.nan  # of the compiled steps, beside arguments and results; unknown where none ran

    def result(self) -> dict[str, Any]:
        """The record of the epoch whose state was returned."""
        return next(record for record in reversed(self.epochs) if self.kept in (None, record["epoch"]))


def train_stage(
    stage: Stage,
    *,
    module: Any,
    variables: dict[str, Any],
    inputs: Inputs,
    seed: int,
    over: Mesh | None = None,
    carried: Any = None,
    resume: step.State | None = None,
    saver: Saver | None = None,
    program: Program | None = None,
    beside: Beside | None = None,
    on_epoch: Callable[[dict[str, Any], step.State], None] = lambda record, state: None,
    progress: bool = True,
) -> tuple[step.State, History]:
    """Train `variables` (`{"params", "batch_stats"?}`) by the stage's rules; a record per epoch goes to `on_epoch`.

    The first record is that of epoch 0: what `variables` are worth, nothing trained. A stage that collapses says so in
    one line, and goes back to its best state (`tljax.train.collapse`).

    Each epoch is a few compiled programs, each a scan over steps: gather, augment, step. The result depends on `seed`
    and the data, not on where the programs are cut. `carried` is the optimizer state of a stage before, for the leaves
    that go on training. `resume` continues a state of this very stage, at its place in the data, in place of
    `variables`. `saver` saves where the stage stands, and continues it from there. `program` is the stage's, if
    it was compiled ahead (`program.ahead`). `beside` is what each step reads beside its batch of `inputs`.
    """
    sizes = [stage.batch_size, *([beside.batch_size] if beside else [])]
    over = devices.mesh_for(math.gcd(*sizes)) if over is None else over
    for size in sizes:
        devices.check_batch(size, over)
    began = time.perf_counter()
    given: dict[str, Any] = {"module": module, "variables": variables, "inputs": inputs}
    state, train_step, apply = start(stage, **given, over=over, beside=beside)
    if carried is not None:
        state = devices.put(
            state.replace(opt_state=transform.carry(carried, state.opt_state)), devices.replicated(over)
        )
    if resume is not None:
        state = devices.put(resume, devices.replicated(over))
    place = (saver.restore(state, held=early_stopping.trainable(state, stage.rules)) if saver else None) or Place(state)
    state = devices.put(place.state, devices.replicated(over)) if place.state is not state else state
    jitted = make_program(train_step, inputs, over, beside)
    batch_size = max(stage.batch_size, 32 * over.size)
    evaluate = make_evaluate(
        apply=apply, prepare=inputs.plain, examples=inputs.validation, batch_size=batch_size, over=over
    )
    per_epoch = stage.steps_per_epoch(len(inputs.train))
    length = segment_steps(per_epoch)
    first = stage.epochs * per_epoch if place.ended else _first_step(stage, state, per_epoch, bool(place.sums))
    history, meter = History(list(place.epochs)), _Meter(place.sums)
    keeping = early_stopping.Keeper(stage, collapse.chance(stage, inputs))
    history.step_flops = place.step_flops
    speeds = [record["images_per_second"] for record in _trained(place.epochs)]
    history.train_seconds = sum(per_epoch * stage.batch_size / speed for speed in speeds)
    enough = False
    keeping.replay(place.epochs, place.held)
    began -= place.epochs[-1]["seconds"] if place.epochs else 0.0
    if first == 0 and not place.epochs:
        validation = evaluate(state)
        seconds = time.perf_counter() - began
        history.epochs.append(start_of(stage.name, seed=seed, validation=validation, seconds=seconds))
        on_epoch(history.epochs[0], state)
        keeping.enough(history.epochs, state)
    bar = tqdm(total=stage.epochs * per_epoch, initial=first, desc=stage.name, unit="step", disable=not progress)
    options: dict[str, Any] = {"seed": seed, "over": over, "first_step": first, "beside": beside}
    with saver or nullcontext(), bar:
        for segment in segments(stage, inputs.train, per_epoch, length, **options):
            if program is None:
                program = compiled(stage, jitted, state, segment.arguments)
            history.compile_seconds, history.step_flops = program.seconds, program.step_flops
            history.temporary_bytes = program.temporary
            started = time.perf_counter()
            with memory.explained(stage, program.call):
                state, metrics = program.call(state, *segment.arguments)
                done = {name: np.asarray(value, np.float64) for name, value in metrics.items()}
            meter.add(done, seconds=time.perf_counter() - started)
            if segment.first_step == first:
                before = variables if resume is None else frozen.variables(resume)
                frozen.refuse_moved(stage, before=before, after=state)
            if (bad := nonfinite.first_step(done["loss"], of=segment.first_step)) is not None:
                if saver:
                    saver.discard(bad)
                nonfinite.refuse(state, stage=stage.name, step=bad)
            steps_done = segment.first_step + length
            if ended := steps_done % per_epoch == 0:
                taken = nonfinite.taken(meter.sums, stage=stage.name, steps=per_epoch, epoch=steps_done // per_epoch)
                record = {
                    "rung": stage.name,
                    "seed": seed,
                    "epoch": steps_done // per_epoch,
                    "step": steps_done,
                    "train": meter.means(),
                    "validation": evaluate(state),
                    "rates": {p: m * segment.lr for p, m in rules_lib.multipliers(stage.rules).items()},
                    "grad_norm": meter.sums["grad_norm"] / taken,
                    "images_per_second": meter.speed(),
                    "seconds": time.perf_counter() - began,
                    **({"skipped": per_epoch - taken} if stage.skip_nonfinite else {}),
                }
                history.epochs.append(record)
                on_epoch(record, state)
            bar.set_postfix_str(_postfix(meter, history, segment.lr), refresh=False)
            bar.update(length)
            if ended:
                history.train_seconds += meter.sums["seconds"]
                meter = _Meter()
                enough = keeping.enough(history.epochs, state)
            last = enough or steps_done == stage.epochs * per_epoch
            if saver:
                place = Place(state, history.epochs, meter.sums, keeping.held(ended=last), last, history.step_flops)
                saver.after(partial(_sound, place, stage=stage.name, step=steps_done), step=steps_done, ended=last)
            if enough:
                break
    if saver is None:  # else its last save has
        nonfinite.refuse_state(state, stage=stage.name, step=int(state.step))
    if (kept := keeping.chosen()) is not None:
        back = early_stopping.whole(kept[1], state, stage.rules)
        history.kept, state = kept[0], devices.put(back, devices.replicated(over))
    if (found := keeping.collapsed()) is not None:
        history.collapsed = found
        collapse.say(found, stage=stage.name, seed=seed)
    history.seconds = time.perf_counter() - began
    images = len(_trained(history.epochs)) * per_epoch * stage.batch_size
    history.images_per_second = images / max(history.train_seconds, 1e-9)
    return state, history


def start_of(rung: str, *, seed: int, validation: dict[str, float], seconds: float) -> dict[str, Any]:
    """The record of epoch 0: nothing was trained, at no rate."""
    nothing = {"loss": math.nan, "accuracy": math.nan}
    told = {"rung": rung, "seed": seed, "epoch": 0, "step": 0, "train": nothing, "validation": validation}
    return {**told, "rates": {}, "seconds": seconds}


def _trained(epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the start's."""
    return [record for record in epochs if record["epoch"] > 0]


def _sound(place: Place, *, stage: str, step: int) -> Place:
    """The place, if it is one to go on from: what is saved replaces what was."""
    nonfinite.refuse_state(place.state, stage=stage, step=step)
    return place


class _Meter:
    """Running sums of an epoch."""

    def __init__(self, sums: dict[str, float] | None = None) -> None:
        self.sums = dict(sums or {})

    def add(self, metrics: dict[str, np.ndarray], *, seconds: float) -> None:
        for name, value in {**metrics, "seconds": np.float64(seconds)}.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value.sum())

    def means(self) -> dict[str, float]:
        count = self.sums["count"] or math.nan  # of a segment whose steps were all passed over
        apart = ("loss", "correct", "count", "grad_norm", "seconds", "skipped")
        named = {"loss": "loss", "accuracy": "correct", **{name: name for name in self.sums if name not in apart}}
        return {name: self.sums[which] / count for name, which in named.items()}

    def speed(self) -> float:
        return self.sums["count"] / self.sums["seconds"]


def _first_step(stage: Stage, state: step.State, per_epoch: int, inside: bool) -> int:
    first = int(state.step)
    if (first % per_epoch and not inside) or first > stage.epochs * per_epoch:
        raise InputError(
            f"stage {stage.name!r}: a state of step {first} cannot be continued: expected the end of one of its "
            f"{stage.epochs} epochs of {per_epoch} steps"
        )
    return first


def _postfix(meter: _Meter, history: History, lr: float) -> str:
    train = meter.means()
    parts = [f"loss {train['loss']:.3f}", f"acc {train['accuracy']:.3f}"]
    if history.epochs:
        parts.append(f"val {history.epochs[-1]['validation']['accuracy']:.3f}")
    return ", ".join([*parts, f"lr {lr:.1e}", f"{meter.speed():.0f} img/s"])
