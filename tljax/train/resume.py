"""Save the progress of a stage while it trains, so that it can be continued with the same bits."""

# pyright: strict
# pyright: reportUnknownMemberType=false

import dataclasses
import json
import math
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np

from tljax import config
from tljax.errors import InputError
from tljax.files import orbax_store
from tljax.files.background import Background
from tljax.files.json_diff import differences
from tljax.machine import signals
from tljax.train.outcome.collapse import Json, Record
from tljax.train.step import State
from tljax.waiting import say


@dataclass(frozen=True)
class Place:
    """Hold the state after a compiled segment, and what the loop has noted down so far.

    `sums` are those of the running epoch, empty between epochs; `held` the states that may have to
    be returned to, by epoch; `ended` says that nothing is left to train.
    """

    state: State
    epochs: list[Record] = field(default_factory=list[Record])
    sums: dict[str, Any] = field(default_factory=dict[str, Any])  # plain JSON
    held: dict[int, State] = field(default_factory=dict[int, State])
    ended: bool = False
    step_flops: float = 0.0
    score: float = math.nan  # of the last epoch, higher is better; not of the start


class Saver:
    """Save a stage to `directory`: at its end, after a signal, and else at most every `seconds`.

    Use it as a context manager around training. Signals are held until the running segment ends;
    leaving the context waits for the last write. Intermediate checkpoints are written from a copy
    in the host's memory by a background thread, and an error there is raised at the next segment.
    Several processes wait for one another's writes, so they write between two segments.

    `identity` is plain JSON that describes everything that determines the result. A checkpoint with
    another identity is not continued.
    """

    def __init__(
        self,
        directory: Path,
        *,
        identity: Json | None = None,
        seconds: float = config.CHECKPOINT_SECONDS,
        on_restore: Callable[[list[Record]], None] = lambda epochs: None,
    ) -> None:
        self._directory, self._seconds, self._on_restore = directory, seconds, on_restore
        self._identity = json.loads(json.dumps(identity or {}))  # as it is read: tuples are lists
        self._last = time.monotonic()
        self._background, self._until_the_end = Background(), ExitStack()

    def __enter__(self) -> Self:
        self._until_the_end.enter_context(signals.deferred())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._until_the_end:
            try:
                self._background.wait()
            except InputError:
                if error is None:  # else that one is raised
                    raise

    def begun(self) -> bool:
        """Tell whether there is a checkpoint to continue from."""
        return bool(_steps(self._directory))

    def restore(self, target: State, *, held: State) -> Place | None:
        """Return the newest place that is whole, or None; name and remove damaged ones.

        `held` has the structure of the states that the stage may return to.
        """
        place = None
        for step, reason in orbax_store.damaged(self._directory).items():
            say(f"{reason}; going on without this checkpoint")
            shutil.rmtree(self._directory / f"{step:06d}")
        for step in sorted(_steps(self._directory), reverse=True):
            try:
                meta = orbax_store.read_meta(self._directory, step)
                same = meta["identity"] == self._identity
                place = _read(self._directory, step, target, meta, held=held) if same else None
                break
            except InputError as error:
                say(f"{error}; going back to the checkpoint before")
                shutil.rmtree(self._directory / f"{step:06d}")
        else:
            meta = {"identity": self._identity}
        if meta["identity"] != self._identity:
            what = ", ".join(differences(meta["identity"], self._identity))
            raise InputError(
                f"{self._directory}: begun with other settings: {what}; --overwrite starts anew"
            )
        self._on_restore(place.epochs if place else [])
        return place

    def after(self, place: Callable[[], Place], *, step: int, ended: bool) -> None:
        """Save after a segment if it is time.

        Raises `signals.Interrupted` where a signal waits.
        """
        self._background.check()
        if ended or signals.waiting():
            self._background.wait()
            _write(self._directory, step, place(), self._identity)
        elif time.monotonic() - self._last >= self._seconds and not self._background.busy():
            if jax.process_count() > 1:
                _write(self._directory, step, place(), self._identity)
            else:
                self._background.start(
                    partial(_write, self._directory, step, _copied(place()), self._identity)
                )
            self._last = time.monotonic()
        signals.stop_if_waiting()

    def discard(self, step: int) -> None:
        """Remove the place at `step`, whose next loss is not finite, if an earlier one is there."""
        self._background.wait()
        if min(steps := _steps(self._directory), default=step) < step and step in steps:
            shutil.rmtree(self._directory / f"{step:06d}", ignore_errors=True)


@dataclass(frozen=True)
class Slot:
    """Say where a rung of one seed is saved while it trains.

    `finished` is the folder of its final checkpoint, if it is finished.
    """

    saver: Saver
    finished: Path | None = None

    def begun(self) -> bool:
        """Tell whether there is a checkpoint to restore or to continue from."""
        return self.finished is not None or self.saver.begun()


def _copied(place: Place) -> Place:
    """Copy a place to the host's memory: the next segment takes over the buffers of the state."""
    state = jax.tree.map(np.array, place.state)
    return dataclasses.replace(place, state=state, epochs=list(place.epochs), sums=dict(place.sums))


def _steps(directory: Path) -> list[int]:
    if not directory.is_dir():
        return []
    return [
        int(path.name) for path in directory.iterdir() if path.name.isdecimal() and path.is_dir()
    ]


def _write(directory: Path, step: int, place: Place, identity: Json) -> None:
    meta = {
        "epochs": place.epochs,
        "sums": place.sums,
        "held": sorted(place.held),
        "ended": place.ended,
    }
    meta |= {"step_flops": place.step_flops, "identity": identity}
    held = {f"held{epoch}": orbax_store.items(state) for epoch, state in place.held.items()}
    orbax_store.save(
        directory,
        step,
        state=place.state,
        meta=meta,
        metrics={orbax_store.MONITOR: place.score},
        others=held,
        latest=2,
    )


def _read(directory: Path, step: int, target: State, meta: Json, *, held: State) -> Place:
    targets = {f"held{epoch}": orbax_store.items(held) for epoch in meta["held"]}
    state, others = orbax_store.restore_with(directory, step, target, others=targets)
    others = jax.device_get(others)
    back = {epoch: orbax_store.from_items(held, others[f"held{epoch}"]) for epoch in meta["held"]}
    return Place(state, meta["epochs"], meta["sums"], back, meta["ended"], meta["step_flops"])
