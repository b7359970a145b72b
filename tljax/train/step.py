"""State x batch -> State: pure, with no knowledge of files or configuration."""

# pyright: strict
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array

from tljax.optim import rules as rules_lib
from tljax.optim.objective import PLAIN, Objective, mixed, neighbours
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.task import Task, sums
from tljax.tree import flatten, statistics

Metrics = dict[str, Array]
Batch = dict[str, Any]
Leaves = dict[str, Any]  # arrays or shapes, by slash path
Params = dict[str, Any]  # a nested tree of parameters, {"base", "head"}
OptState = Any  # optax's, of any optimizer
Variables = dict[str, Any]  # Flax's: {"params", "batch_stats"?}
Losses = tuple[Array, tuple[Variables, Metrics]]  # what is minimised, (changed statistics, metrics)
Loss = Callable[[Variables, Batch, Array], Losses]
MakeLoss = Callable[["Apply", Objective, Task], Loss]


_SMALL = 4096  # numbers of a leaf, which a kernel reads faster than it is started
_FEW = 4  # small leaves that are not worth bringing together


class Apply(Protocol):
    """Run a module, as Flax's `module.apply` does.

    Returns `(logits, activations)`; with `mutable=` a pair of that and the changed collections.
    """

    def __call__(self, variables: Variables, x: Array, /, **options: Any) -> Any: ...


class State(struct.PyTreeNode):
    """Hold what a step changes.

    `params` `{"base", "head"}`; `model_state` holds batch statistics or nothing; `ema` the moving
    averages of the trainable leaves, by slash path, or nothing. `factors` are what a finished stage
    keeps of low-rank updates that it has added to their kernels (`optim.low_rank`), or nothing.
    """

    step: Array
    params: Params
    model_state: Variables
    opt_state: OptState
    ema: dict[str, Array] = struct.field(default_factory=dict[str, Array])
    factors: Params = struct.field(default_factory=dict[str, Any])


TrainStep = Callable[[State, Batch, dict[str, Array]], tuple[State, Metrics]]


def make_train_step(
    *,
    apply: Apply,
    tx: optax.GradientTransformationExtraArgs,
    rules: rules_lib.Rules,
    objective: Objective = PLAIN,
    task: Task = CLASSIFICATION,
    ema: float | None = None,
    skip_nonfinite: bool = False,
    axis_name: str | None = None,
) -> TrainStep:
    """Make a step that differentiates the leaves which `rules` train, and no others.

    `apply(variables, x, train=, rate=, keys=, mutable=)` is a Flax model's; `tx` works on flat
    trees of the trainable leaves (`optim.transform.make`). Batch: `image` `[N, ...]`, `label` `[N,
    ...]` as the task has it, `key` `[N]` typed keys for dropout. Hyperparameters are traced
    scalars: `lr`, `dropout`, and any others that `tx` takes. Metrics are sums over the batch:
    `loss`, `count` and the task's figures (with mixup, of the label with the larger share); and
    `grad_norm`, over the trainable leaves. `ema` is the decay of the averages in the state. With
    `skip_nonfinite` a loss or gradient with NaN or infinity leaves the state unchanged except for
    the step, and the metrics have 1 for `skipped` and 0 for everything else. With `axis_name`
    gradients, statistics and metrics are averaged or summed over that `pmap` axis.
    """
    return make_step(
        loss=plain(apply, objective, task),
        tx=tx,
        rules=rules,
        ema=ema,
        skip_nonfinite=skip_nonfinite,
        axis_name=axis_name,
    )


def plain(apply: Apply, objective: Objective, task: Task) -> Loss:
    """Make the `Loss` that is the mean of the task's losses over a batch."""

    def loss(variables: Variables, batch: Batch, rate: Array) -> Losses:
        image, label, share = batch["image"], batch["label"], None
        if objective.mixup:
            image, share = mixed(image, batch["key"], alpha=objective.mixup)
        mutable = list(statistics(variables))
        (logits, _), moved = apply(
            variables, image, train=True, rate=rate, keys=batch["key"], mutable=mutable
        )
        losses = task.losses(logits, label, objective)
        if share is not None:
            others = task.losses(logits, neighbours(label), objective)
            losses = share * losses + (1 - share) * others
        figures = sums(task, logits, label)
        count = jnp.int32(losses.size)
        return losses.mean(), (moved, {"loss": losses.sum(), **figures, "count": count})

    return loss


def make_step(
    *,
    loss: Loss,
    tx: optax.GradientTransformationExtraArgs,
    rules: rules_lib.Rules,
    ema: float | None = None,
    skip_nonfinite: bool = False,
    axis_name: str | None = None,
) -> TrainStep:
    """Make a train step for any loss `(variables, batch, dropout rate) -> (scalar, aux)`.

    The scalar is minimised; aux is `(updated batch statistics, metrics)`. The loss's metrics are
    those of `make_train_step`; others are sums over the same examples.
    """

    def loss_fn(
        trainable: Leaves, frozen: Leaves, model_state: Variables, batch: Batch, rate: Array
    ) -> Losses:
        return loss({"params": rules_lib.merge(trainable, frozen), **model_state}, batch, rate)

    def train_step(state: State, batch: Batch, hyper: dict[str, Array]) -> tuple[State, Metrics]:
        trainable, frozen = rules_lib.split(state.params, rules)
        grad = jax.grad(loss_fn, has_aux=True)
        grads, (moved, metrics) = grad(
            trainable, frozen, state.model_state, batch, hyper["dropout"]
        )
        if axis_name is not None:
            grads, moved = jax.lax.pmean((grads, moved), axis_name)
            metrics = jax.lax.psum(metrics, axis_name)
        # Optax's interface for values that change from step to step: extra keywords.
        updates, opt_state = tx.update(grads, state.opt_state, trainable, **hyper)
        moved_leaves: Any = optax.apply_updates(trainable, updates)
        params = rules_lib.merge(moved_leaves, frozen)
        metrics["grad_norm"] = norm(grads)
        averages = (
            state.ema
            if ema is None
            else _average(moved_leaves, state.ema, decay=ema, step=state.step)
        )
        after = State(state.step + 1, params, {**state.model_state, **moved}, opt_state, averages)
        return _unless_finite(grads, state, after, metrics) if skip_nonfinite else (after, metrics)

    return train_step


def make_eval_step(
    *, apply: Apply, task: Task = CLASSIFICATION
) -> Callable[[State, Batch], Metrics]:
    """Make a step of masked sums over a batch: `loss`, `count` and the task's figures.

    Batch: `image`, `label`, `mask` `[N]` f32 (0 for padding). Where the state has averages, they
    are evaluated.
    """

    def eval_step(state: State, batch: Batch) -> Metrics:
        logits, _ = apply(
            {"params": averaged(state), **state.model_state}, batch["image"], train=False
        )
        mask = batch["mask"]
        return {
            "loss": (task.losses(logits, batch["label"]) * mask).sum(),
            **sums(task, logits, batch["label"], mask),
            "count": mask.sum(),
        }

    return eval_step


def averaged(state: State) -> Params:
    """Return the parameters, replaced by their moving averages where the state has them."""
    if not state.ema:
        return state.params
    return rules_lib.merge(
        state.ema, {p: x for p, x in flatten(state.params).items() if p not in state.ema}
    )


def init_state(
    params: Params,
    *,
    model_state: Variables,
    tx: optax.GradientTransformationExtraArgs,
    rules: rules_lib.Rules,
    ema: float | None = None,
) -> State:
    """Make a fresh state: optimizer state, and averages if asked for, of the trainable leaves."""
    trainable, _ = rules_lib.split(params, rules)
    return State(
        jnp.int32(0),
        params,
        model_state,
        tx.init(trainable),
        {} if ema is None else dict(trainable),
    )


def first_state(
    variables: Variables,
    *,
    tx: optax.GradientTransformationExtraArgs,
    rules: rules_lib.Rules,
    ema: float | None = None,
) -> State:
    """Make a fresh state of a module's variables, `{"params", "batch_stats"?}`."""
    model_state = statistics(variables)
    return init_state(variables["params"], model_state=model_state, tx=tx, rules=rules, ema=ema)


def norm(leaves: Leaves) -> Array:
    """Compute the norm of all leaves together, many small ones as one vector.

    Each leaf by itself takes a kernel or two; biases are as many as the kernels of convolutions.
    """
    small = [leaf.ravel() for leaf in leaves.values() if leaf.size <= _SMALL]
    if len(small) <= _FEW:
        return optax.tree.norm(leaves)
    large = [leaf for leaf in leaves.values() if leaf.size > _SMALL]
    return optax.tree.norm([*large, jnp.concatenate(small)])


def _unless_finite(
    grads: Leaves, before: State, after: State, metrics: Metrics
) -> tuple[State, Metrics]:
    """Return state and metrics of a step if they are finite, else those of a skipped step."""
    finite = [jnp.isfinite(leaf).all() for leaf in [metrics["loss"], *jax.tree.leaves(grads)]]
    good = jnp.stack(finite).all()

    def choose(old: Array, new: Array) -> Array:
        return new if new is old else jnp.where(good, new, old)  # the same object stays so

    chosen = jax.tree.map(choose, before, after).replace(step=after.step)
    counted = {
        name: jnp.where(good, value, jnp.zeros_like(value)) for name, value in metrics.items()
    }
    return chosen, {**counted, "skipped": 1 - good.astype(jnp.int32)}


def _average(
    leaves: dict[str, Array], averages: dict[str, Array], *, decay: float, step: Array
) -> dict[str, Array]:
    """Average leaves with a decay of at most (1 + step) / (10 + step), as in TensorFlow.

    The average is young at first.
    """
    decay_now = jnp.minimum(decay, (1 + step) / (10 + step))
    return {
        path: decay_now * averages[path] + (1 - decay_now) * leaf for path, leaf in leaves.items()
    }
