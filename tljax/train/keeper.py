"""Train until it overfits, then step back: which epoch's state a stage ends with."""

import math
from typing import Any

import jax

from tljax.config import Stage
from tljax.train.step import State


class Keeper:
    """Watches the validation loss of a stage with `patience`, and holds the states it may have to return to.

    States are held in the host's memory, whole: parameters, optimizer state and step, so that what is returned to can
    be continued. Without `patience` nothing is held.
    """

    def __init__(self, stage: Stage) -> None:
        self._patience, self._back = stage.patience, stage.step_back
        self._best: tuple[int, State] | None = None
        self._least, self._since = math.inf, 0
        self._recent: list[tuple[int, State]] = []  # the last step_back + 1

    def enough(self, epochs: list[dict[str, Any]], state: State) -> bool:
        """Take note of the epoch that just ended; True when the loss has not improved for `patience` epochs."""
        return self._patience is not None and self._note(epochs[-1], jax.device_get(state))

    def held(self) -> dict[int, State]:
        """The states that may have to be returned to, by epoch."""
        return dict([*([self._best] if self._best else []), *self._recent])

    def replay(self, epochs: list[dict[str, Any]], held: dict[int, Any]) -> None:
        """Take note of epochs again, with what `held` gave after the last of them."""
        if self._patience is not None:
            for record in epochs:
                self._note(record, held.get(record["epoch"]))

    def _note(self, record: dict[str, Any], state: Any) -> bool:
        now = (record["epoch"], state)
        loss = record["validation"]["loss"]
        self._since += 1
        if loss < self._least:
            self._least, self._since = loss, 0
            self._best = now
        if self._back is not None:
            self._recent = [*self._recent[-self._back :], now]
        return self._patience is not None and self._since >= self._patience

    def chosen(self) -> tuple[int, State] | None:
        """`(epoch, state)` to end with, or None for the last one as it is.

        The best epoch; with `step_back` the one that lies so many before the last, or the first there is.
        """
        return self._best if self._back is None else self._recent[0]
