"""Arguments and program of a sweep's calls: what all members share once, the rest stacked."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.stages import Compiled

from tljax.machine import devices, in_turn
from tljax.sweep.members import Given
from tljax.sweep.memory_plan import SweepPlan, limit, planned
from tljax.sweep.program import Outcome, Program, at_once, over_members, together
from tljax.train.step import State

MOST, MOST_ON_CPU = 256, 16  # members of a call


class Calls:
    """All members' trees, and the stacked arguments of any of them."""

    def __init__(
        self, states: list[State], trees: list[Given[np.ndarray]], program: Program, over: Mesh
    ) -> None:
        self._states, self._structure = states, jax.tree.structure(trees[0])
        self._leaves, axes = together(trees)
        self._program, self._over = over_members(program, axes, over), over
        self._parts, self._whole = devices.split_batch(over), devices.replicated(over)
        self._shared = {
            i: jax.device_put(np.asarray(leaf), self._whole)
            for i, leaf in enumerate(self._leaves)
            if not isinstance(leaf, list)
        }

    def planned(self, members: int, *, most: int | None, size: int) -> tuple[SweepPlan, Compiled]:
        """Plan calls for so many of the members: (the plan, its program).

        Calls are as large as fit, or of `size` members each unless that is 0.
        """
        most = most or (MOST if at_once() else MOST_ON_CPU)
        shared = sum(leaf.nbytes for leaf in self._shared.values())
        # So that all calls are of that size.
        whole_calls = -(-members // size) * size if size else members
        plan, compiled = planned(
            self._compiled,
            members=whole_calls,
            devices=self._over.size,
            shared=shared,
            most=size or most,
            limit=limit(self._over, shared=shared),
        )
        return replace(plan, members=members), compiled

    def run(
        self, compiled: Compiled, members: list[int], *, size: int
    ) -> Iterator[tuple[list[int], Outcome]]:
        """Yield `(members, the program's results, on the device)` of each call.

        A call has `size` of the members.
        """
        for first in range(0, len(members), size):
            ids = members[first : first + size]
            padded = [*ids, *[ids[-1]] * (size - len(ids))]
            yield ids, compiled(*self._arguments(padded))

    def _compiled(self, size: int) -> Compiled:
        """Compile the program for so many members, from shapes alone."""
        state = jax.tree.map(lambda leaf: self._shape(leaf, size), self._states[0])
        arguments = [
            self._shared[i] if i in self._shared else self._shape(leaf[0], size)
            for i, leaf in enumerate(self._leaves)
        ]
        lowered = self._program.lower(state, jax.tree.unflatten(self._structure, arguments))
        with in_turn.turn():
            return lowered.compile()

    def _arguments(self, members: list[int]) -> tuple[State, Given[jax.Array]]:
        state = jax.tree.map(
            lambda *leaves: _stacked(leaves, self._parts), *(self._states[i] for i in members)
        )
        arguments = [
            self._shared[i]
            if i in self._shared
            else _stacked([leaf[j] for j in members], self._parts)
            for i, leaf in enumerate(self._leaves)
        ]
        return state, jax.tree.unflatten(self._structure, arguments)

    def _shape(self, leaf: Any, size: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((size, *np.shape(leaf)), leaf.dtype, sharding=self._parts)


def _stacked(leaves: Sequence[Any], sharding: NamedSharding) -> jax.Array:
    return jax.device_put(np.stack([np.asarray(leaf) for leaf in leaves]), sharding)
