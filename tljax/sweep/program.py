"""A whole stage as a pure function, of one member or of many: steps, epochs, evaluation, logits."""

# pyright: strict
# pyright: reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jax.stages import Wrapped

from tljax.config import Stage
from tljax.data.draws import augment_keys, dropout_keys
from tljax.machine import devices
from tljax.models import ops
from tljax.optim import rules as rules_lib
from tljax.optim import transform
from tljax.sweep.members import Batches, Draws, Given
from tljax.train import step
from tljax.train.program import objective_of
from tljax.train.ready import Ready
from tljax.train.segments import make_batch
from tljax.train.step import State, averaged
from tljax.tree import flatten

Leaf = Any  # an array, of NumPy or JAX
Axes = Any  # like `Given`: 0 for each leaf that is stacked, None for a shared one
Sums = dict[str, Array]  # over examples, by name; [epochs], or [1 + epochs] of validation


class Outcome(NamedTuple):
    """The result of a stage's program; the first sums of validation are those of the start."""

    state: State
    train: Sums
    validation: Sums
    logits: Array  # [N, outputs], or what the task keeps


class Program(Protocol):
    """A whole stage of one member, or of many that are stacked.

    The state's `params` are the trainable leaves alone, flat; `given.frozen` has the others.
    """

    def __call__(self, state: State, given: Given[Array], /) -> Outcome: ...


def make_stage(
    stage: Stage, ready: Ready, *, paths: list[str]
) -> tuple[optax.GradientTransformation, Program]:
    """Make `(tx, program)` of a whole stage; `paths` are those of all parameters."""
    inputs, apply = ready.inputs, ready.apply
    tx = transform.make(stage.optimizer, stage.rules, paths, anchor=ready.anchor)
    train_step = step.make_train_step(
        apply=apply,
        tx=tx,
        rules=stage.rules,
        objective=objective_of(stage, inputs),
        task=inputs.task,
        ema=stage.ema,
    )
    eval_step = step.make_eval_step(apply=apply, task=inputs.task)

    def program(state: State, given: Given[Array], /) -> Outcome:
        root = jax.random.wrap_key_data(given.root)

        def whole(state: State) -> State:
            return state.replace(params=rules_lib.merge(state.params, given.frozen))

        def one_step(state: State, xs: tuple[Draws[Array], dict[str, Array]]) -> tuple[State, Sums]:
            draw, now = xs
            drawn = {
                "row": draw.row,
                "label": draw.label,
                "augment": augment_keys(inputs.augmented_as(draw.passes), draw.example),
                "key": dropout_keys(root, draw.passes, draw.example),
            }
            batch = make_batch(inputs, given.pool, drawn, now["augment"])
            moved, metrics = train_step(whole(state), batch, now)
            leaves = flatten(moved.params)
            return moved.replace(params={path: leaves[path] for path in state.params}), metrics

        def one_epoch(state: State, xs: Any) -> tuple[State, tuple[Sums, Sums]]:
            state, metrics = jax.lax.scan(one_step, state, xs)
            return state, (_summed(metrics), evaluated(whole(state)))

        def evaluated(state: State) -> Sums:
            def one_batch(_: None, held: Batches[Array]) -> tuple[None, Sums]:
                image = inputs.plain(given.held_pool[held.row])
                return None, eval_step(
                    state, {"image": image, "label": held.label, "mask": held.mask}
                )

            return _summed(jax.lax.scan(one_batch, None, given.held)[1])

        def logits(state: State) -> Array:
            variables = {"params": averaged(state), **state.model_state}

            def one_batch(_: None, held: Batches[Array]) -> tuple[None, Array]:
                image = inputs.plain(given.held_pool[held.row])
                return None, inputs.task.kept(apply(variables, image, train=False)[0], held.label)

            batches = jax.lax.scan(one_batch, None, given.held)[1]
            return batches.reshape(-1, *batches.shape[2:])

        start = evaluated(whole(state))
        state, (train, validation) = jax.lax.scan(one_epoch, state, (given.draws, given.hyper))
        validation = jax.tree.map(
            lambda first, later: jnp.concatenate([first[None], later]), start, validation
        )
        return Outcome(state, train, validation, logits(whole(state)))

    return tx, program


def over_members(program: Program, axes: Axes, over: Mesh) -> Wrapped:
    """Map the program over many members, split over the devices.

    `axes` is 0 for each leaf of `given`, or None for a shared one. A device runs its members at
    once by `vmap`, on CPU one after another: XLA's CPU products of batches of matrices are not the
    fast ones. Eight heads of 4,608 features took 0.35 s in place of 0.65, of 128 features 0.03
    either way.
    """
    many = jax.vmap(program, in_axes=(0, axes)) if at_once() else one_by_one(program, axes)
    parts = jax.tree.map(
        lambda axis: P() if axis is None else P(devices.AXIS), axes, is_leaf=_is_none
    )
    whole = P(devices.AXIS)
    mapped = jax.shard_map(
        many, mesh=over, in_specs=(whole, parts), out_specs=whole, check_vma=False
    )
    return ops.jit(mapped, donate_argnums=0)


def at_once() -> bool:
    """Tell whether a device runs its members at once, as every accelerator does."""
    return jax.default_backend() != "cpu"


def one_by_one(program: Program, axes: Axes) -> Program:
    """Map the program over members in a loop inside one program, with the results of `vmap`."""

    def many(states: State, given: Given[Array], /) -> Outcome:
        own = jax.tree.map(
            lambda axis, leaf: None if axis is None else leaf, axes, given, is_leaf=_is_none
        )

        def one(member: tuple[State, Given[Array]]) -> Outcome:
            state, mine = member
            return program(state, jax.tree.map(_chosen, axes, given, mine, is_leaf=_is_none))

        return jax.lax.map(one, (states, own))

    return many


def _chosen(axis: int | None, shared: Array, mine: Array | None) -> Array | None:
    return shared if axis is None else mine


def _is_none(leaf: object) -> bool:
    return leaf is None


def together(trees: Sequence[Given[np.ndarray]]) -> tuple[list[Leaf | list[Leaf]], Axes]:
    """Stack equal trees: `(leaves, axes)`.

    A leaf that all members share is there once, with axis None; of the others a list, with axis 0.
    """
    leaves = [jax.tree.leaves(tree) for tree in trees]
    columns = [list(column) for column in zip(*leaves, strict=True)]
    alike = [_alike(column) for column in columns]
    axes = jax.tree.unflatten(jax.tree.structure(trees[0]), [None if same else 0 for same in alike])
    pairs = zip(columns, alike, strict=True)
    return [column[0] if same else column for column, same in pairs], axes


def _alike(column: list[Leaf]) -> bool:
    first = column[0]
    return all(leaf is first or np.array_equal(leaf, first) for leaf in column[1:])


def _summed(metrics: Sums) -> Sums:
    return jax.tree.map(lambda values: values.sum(axis=0), metrics)
