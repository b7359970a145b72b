"""The journal of a stage while it trains: sums, records, clock, progress bar and early stopping."""

# pyright: strict

import math
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np

from tljax import waiting
from tljax.config import Stage
from tljax.optim import rules as rules_lib
from tljax.tasks.task import Task, unknown
from tljax.train import nonfinite
from tljax.train.early_stopping import Keeper
from tljax.train.history import History, OnEpoch, Record, start_of, trained
from tljax.train.outcome import collapse
from tljax.train.program import Program
from tljax.train.ready import Ready
from tljax.train.resume import Place
from tljax.train.segments import Segment
from tljax.train.step import State

Evaluate = Callable[[State], dict[str, float]]


class Meter:
    """Keep running sums of an epoch: numbers, or lists of them where the task has such figures."""

    def __init__(self, task: Task, sums: Mapping[str, Any] | None = None) -> None:
        self._task, self.sums = task, dict(sums or {})

    def add(self, metrics: dict[str, np.ndarray], *, seconds: float) -> None:
        """Add the metrics `[steps]` of a segment, and the seconds that it took."""
        for name, value in {**metrics, "seconds": np.array([seconds])}.items():
            self.sums[name] = (np.asarray(self.sums.get(name, 0.0)) + value.sum(axis=0)).tolist()

    def means(self) -> dict[str, float]:
        """Divide the loss by the number of images, and score the task's sums."""
        count = self.sums["count"] or math.nan  # NaN where all steps of a segment were skipped
        apart = ("loss", "count", "grad_norm", "seconds", "skipped", *self._task.totals)
        others = {name: self.sums[name] / count for name in self.sums if name not in apart}
        figures = {name: np.asarray(self.sums[name]) for name in self._task.totals}
        scores = self._task.scores({**figures, "count": count})
        return {"loss": self.sums["loss"] / count, **scores, **others}

    def speed(self) -> float:
        """Return images per second."""
        return self.sums["count"] / self.sums["seconds"]


class Journal:
    """Record a stage while it trains, from its progress in `place`.

    The progress bar is shown inside the context.
    """

    def __init__(
        self,
        stage: Stage,
        ready: Ready,
        place: Place,
        *,
        first_step: int,
        seed: int,
        began: float,
        on_epoch: OnEpoch,
        progress: bool,
    ) -> None:
        self._stage, self._seed, self._on_epoch = stage, seed, on_epoch
        self.per_epoch = stage.steps_per_epoch(len(ready.inputs.train))
        self.steps = stage.epochs * self.per_epoch
        self.history = History(
            list(place.epochs), step_flops=place.step_flops, task=ready.inputs.task
        )
        speeds = [(self._images(r), r["images_per_second"]) for r in trained(place.epochs)]
        self.history.train_seconds = sum(images / speed for images, speed in speeds)
        self._task = ready.inputs.task
        self._meter = Meter(self._task, place.sums)
        spent = place.epochs[-1]["seconds"] if place.epochs else 0.0
        self._began = began - spent - place.sums.get("seconds", 0.0)
        self._keeper = Keeper(stage, collapse.chance(stage, ready.inputs))
        self._keeper.replay(place.epochs, place.held)
        self._enough = False
        self._first, self._progress = first_step, progress

    def __enter__(self) -> Self:
        what = f"{self._stage.name}: train"
        self._bar = waiting.bar(
            self.steps, what, unit="steps", shown=self._progress, done=self._first
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def begin(self, state: State, evaluate: Evaluate) -> None:
        """Note the record of epoch 0, where no step has been trained."""
        if self._first == 0 and not self.history.epochs:
            scores, name = evaluate(state), self._stage.name
            record = start_of(
                name,
                seed=self._seed,
                nothing=unknown(self._task),
                validation=scores,
                seconds=self._seconds(),
            )
            self._note(record, state)
            self._keeper.enough(self.history.epochs, state)

    def compiled(self, program: Program) -> None:
        """Note what the compiler says of the program that is run."""
        self.history.compile_seconds, self.history.step_flops = program.seconds, program.step_flops
        self.history.temporary_bytes = program.temporary

    def add(self, metrics: dict[str, np.ndarray], *, seconds: float) -> None:
        """Add the metrics `[steps]` of a segment, and the seconds that it took."""
        self._meter.add(metrics, seconds=seconds)

    def after(self, segment: Segment, state: State, evaluate: Evaluate) -> bool:
        """Note the end of a segment, and of its epoch if it ends one; True if the stage ends."""
        ended = segment.end % self.per_epoch == 0
        if ended:
            self._note(self._record(segment, state, evaluate), state)
        self._bar.set_postfix_str(self._postfix(), refresh=False)
        self._bar.update(segment.steps)
        if ended:
            self.history.train_seconds += self._meter.sums["seconds"]
            self._meter = Meter(self._task)
            self._enough = self._keeper.enough(self.history.epochs, state)
        return self._enough or segment.end == self.steps

    def place(self, state: State, *, ended: bool) -> Place:
        """Return where the stage stands, to be saved."""
        held = self._keeper.held(ended=ended)
        last = trained(self.history.epochs)[-1:]
        return Place(
            state,
            self.history.epochs,
            self._meter.sums,
            held,
            ended,
            self.history.step_flops,
            self._task.rank(last[0]["validation"]) if last else math.nan,
        )

    def finish(self) -> State | None:
        """Complete the history; return the held state to step back to, or None for the last one."""
        if (collapsed := self._keeper.collapsed()) is not None:
            self.history.collapsed = collapsed
            collapse.say(collapsed, stage=self._stage.name, seed=self._seed)
        images = sum(map(self._images, trained(self.history.epochs)))
        self.history.images_per_second = images / max(self.history.train_seconds, 1e-9)
        self.history.kept, state = self._keeper.chosen() or (None, None)
        self.history.seconds = self._seconds()
        return state

    def _record(self, segment: Segment, state: State, evaluate: Evaluate) -> Record:
        name, steps, epoch = self._stage.name, self.per_epoch, segment.end // self.per_epoch
        taken = nonfinite.taken(self._meter.sums, stage=name, steps=steps, epoch=epoch)
        multipliers = rules_lib.multipliers(self._stage.rules)
        return {
            "rung": name,
            "seed": self._seed,
            "epoch": epoch,
            "step": segment.end,
            "train": self._meter.means(),
            "validation": evaluate(state),
            "rates": {pattern: times * segment.lr for pattern, times in multipliers.items()},
            "grad_norm": self._meter.sums["grad_norm"] / taken,
            "images_per_second": self._meter.speed(),
            "seconds": self._seconds(),
            **({"skipped": steps - taken} if self._stage.skip_nonfinite else {}),
        }

    def _note(self, record: Record, state: State) -> None:
        self.history.epochs.append(record)
        self._on_epoch(record, state)

    def _images(self, record: Record) -> int:
        """Count the images of an epoch's steps, without the steps that were skipped."""
        return (self.per_epoch - record.get("skipped", 0)) * self._stage.batch_size

    def _seconds(self) -> float:
        return time.perf_counter() - self._began

    def _postfix(self) -> str:
        loss, measure = f"loss {self._meter.means()['loss']:.3f}", self._task.measures[0]
        if not self.history.epochs:
            return loss
        score = self.history.epochs[-1]["validation"][measure.name]
        return f"{loss}, validation {measure.shown(score)}"
