"""Choose the epoch whose state a stage ends with.

That is the last one, or an earlier one if the stage overfits or collapses.
"""

# pyright: strict
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from tljax.config import Stage
from tljax.optim import rules as rules_lib
from tljax.train.outcome import collapse
from tljax.train.outcome.collapse import Chance, Collapse, Record
from tljax.train.step import State
from tljax.tree import flatten

Kept = tuple[int, State]


class Keeper:
    """Watch a stage, and hold the states it may have to return to.

    They are in the host's memory, without their frozen leaves, but with optimizer state and step:
    a state that is returned to can be continued. With `patience`, the validation loss is watched.
    With `chance`, the scores of a constant prediction, a collapse is watched for from epoch 0 on;
    that epoch does not count for patience, as a fresh head starts with a high loss.
    """

    def __init__(self, stage: Stage, chance: Chance | None = None) -> None:
        self._stage, self._chance = stage, chance
        self._patience, self._back = stage.patience, stage.step_back
        self._best: Kept | None = None
        self._least, self._since = math.inf, 0
        self._recent: list[Kept] = []  # the last step_back + 1
        self._records: list[Record] = []
        self._highest: tuple[Record, State] | None = None  # to return to from a collapse

    def enough(self, epochs: list[Record], state: State) -> bool:
        """Note the epoch that just ended, or the start, and tell whether to end the stage.

        True when the loss has not improved for `patience` epochs, or the stage has collapsed.
        """
        copies: list[State] = []

        def copy() -> State:
            copies[:] = copies or [held(state, self._stage.rules)]
            return copies[0]

        return self._note(epochs[-1], copy)

    def held(self, *, ended: bool = False) -> dict[int, State]:
        """Return the states that may have to be returned to, by epoch.

        If the stage has `ended`, only the one that it returns to.
        """
        states = [
            self._best,
            *self._recent,
            self._highest and (self._highest[0]["epoch"], self._highest[1]),
        ]
        if ended:
            states = [self.chosen()]
        return dict(filter(None, states))

    def replay(self, epochs: list[Record], held: dict[int, State]) -> None:
        """Note epochs again, with the states that `held` returned after the last of them."""
        for record in epochs:
            self._note(record, lambda record=record: held.get(record["epoch"]))

    def _note(self, record: Record, copy: Callable[[], Any]) -> bool:
        self._records.append(record)
        best = self._highest and self._highest[0]
        if (
            self._chance
            and not self._stage.keep_going
            and collapse.better(record, best, self._chance)
        ):
            self._highest = record, copy()
        overfits = (
            record["epoch"] > 0 and self._patience is not None and self._overfits(record, copy)
        )
        return overfits or self._hopeless()

    def _overfits(self, record: Record, copy: Callable[[], Any]) -> bool:
        now = (record["epoch"], copy())
        loss = record["validation"]["loss"]
        self._since += 1
        if loss < self._least:
            self._least, self._since = loss, 0
            self._best = now
        if self._back is not None:
            self._recent = [*self._recent[-self._back :], now]
        return self._patience is not None and self._since >= self._patience

    def _hopeless(self) -> bool:
        watched = self._chance if not self._stage.keep_going else None
        return watched is not None and collapse.hopeless(self._records, watched)

    def chosen(self) -> Kept | None:
        """Return the `(epoch, state)` to end with, or None for the last one as it is.

        That is the best epoch; with `step_back` the one so many before the last, or the first there
        is. After a collapse it is the one of the highest validation accuracy, epoch 0 included.
        """
        if (collapsed := self.collapsed()) and collapsed.back_to is not None and self._highest:
            return collapsed.back_to, self._highest[1]
        return self._stepped_back()

    def collapsed(self) -> Collapse | None:
        """Return what went wrong, if anything did."""
        if self._chance is None or not self._records:
            return None
        back = self._stepped_back()
        ends = [record for record in self._records if back is None or record["epoch"] == back[0]]
        back_to = self._highest[0]["epoch"] if self._highest else None
        return collapse.judged(
            self._records, ends[-1], self._chance, stage=self._stage, back_to=back_to
        )

    def _stepped_back(self) -> Kept | None:
        return self._best if self._back is None or not self._recent else self._recent[0]


def held(state: State, rules: rules_lib.Rules) -> State:
    """Copy a state, with only its trainable leaves for `params`, to the host's memory."""
    # Copied: the next segment takes over the buffers of the state.
    return jax.tree.map(np.array, trainable(state, rules))


def trainable(state: State, rules: rules_lib.Rules) -> State:
    """Return the state with only its trainable leaves for `params`."""
    return state.replace(params=rules_lib.merge(rules_lib.split(state.params, rules)[0], {}))


def whole(held: State, frozen_of: State, rules: rules_lib.Rules) -> State:
    """Complete a state that was held with the frozen leaves of another state of its stage."""
    _, frozen = rules_lib.split(frozen_of.params, rules)
    return held.replace(params=rules_lib.merge(flatten(held.params), frozen))
