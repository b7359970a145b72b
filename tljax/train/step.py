"""State x batch -> State: pure, and ignorant of files and configuration."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array

from tljax.optim import rules as rules_lib
from tljax.optim.objective import PLAIN, Objective, mixed, neighbours, per_example_loss, predicted
from tljax.tree import flatten

Metrics = dict[str, Array]
Batch = dict[str, Any]
Apply = Callable[..., Any]
Loss = Callable[[dict[str, Any], Batch, Array], tuple[Array, tuple[dict[str, Any], Metrics]]]


class State(struct.PyTreeNode):
    """What a step changes.

    `params` `{"base", "head"}`; `model_state` holds batch statistics or nothing; `ema` the moving averages of the
    trainable leaves, by slash path, or nothing.
    """

    step: Array
    params: dict[str, Any]
    model_state: dict[str, Any]
    opt_state: Any
    ema: dict[str, Array] = struct.field(default_factory=dict)


def make_train_step(
    *,
    apply: Apply,
    tx: optax.GradientTransformationExtraArgs,
    rules: rules_lib.Rules,
    objective: Objective = PLAIN,
    ema: float | None = None,
    skip_nonfinite: bool = False,
    axis_name: str | None = None,
) -> Callable[[State, Batch, dict[str, Array]], tuple[State, Metrics]]:
    """A step that differentiates the leaves which `rules` train, and no others.

    `apply(variables, x, train=, rate=, keys=, mutable=)` is a Flax model's; `tx` works on flat trees of the trainable
    leaves (`optim.transform.make`). Batch: `image` `[N, ...]` f32, `label` `[N]` int32, `key` `[N]` typed keys for
    dropout. Hyperparameters are traced scalars: `lr`, `dropout`, and what else `tx` takes. Metrics are sums over the
    batch: `loss`, `correct` (with mixup, of the label with the larger share), `count`; and `grad_norm`, over the
    trainable leaves. `ema` is the decay of the averages in the state. With `skip_nonfinite` a loss or gradient with NaN
    or infinity leaves the state as it was but for the step, and the metrics have 1 for `skipped` and 0 for all else.
    With `axis_name` gradients, statistics and
    metrics are averaged or summed over that `pmap` axis.
    """
    loss = classification(apply, objective)
    options: dict[str, Any] = {"ema": ema, "skip_nonfinite": skip_nonfinite, "axis_name": axis_name}
    return make_step(loss=loss, tx=tx, rules=rules, **options)


def classification(apply: Apply, objective: Objective = PLAIN) -> Loss:
    """The mean cross entropy of a batch, as a `Loss`."""

    def loss(variables: dict[str, Any], batch: Batch, rate: Array) -> Any:
        image, label, share = batch["image"], batch["label"], None
        if objective.mixup:
            image, share = mixed(image, batch["key"], alpha=objective.mixup)
        mutable = [name for name in variables if name != "params"]
        (logits, _), moved = apply(variables, image, train=True, rate=rate, keys=batch["key"], mutable=mutable)
        losses = per_example_loss(logits, label, objective)
        if share is not None:
            losses = share * losses + (1 - share) * per_example_loss(logits, neighbours(label), objective)
        correct = (predicted(logits) == label).sum()
        return losses.mean(), (
            moved,
            {"loss": losses.sum(), "correct": correct, "count": jnp.int32(losses.size)},
        )

    return loss


def make_step(
    *,
    loss: Loss,
    tx: optax.GradientTransformationExtraArgs,
    rules: rules_lib.Rules,
    ema: float | None = None,
    skip_nonfinite: bool = False,
    axis_name: str | None = None,
) -> Callable[[State, Batch, dict[str, Array]], tuple[State, Metrics]]:
    """As `make_train_step`, of any loss: `(variables, batch, dropout rate) -> (what descends, (statistics, metrics))`.

    Its metrics are `loss`, `correct` and `count` as there; others are sums over the same examples.
    """

    def loss_fn(trainable: Any, frozen: Any, model_state: Any, batch: Batch, rate: Array) -> Any:
        return loss({"params": rules_lib.merge(trainable, frozen), **model_state}, batch, rate)

    def train_step(state: State, batch: Batch, hyper: dict[str, Array]) -> tuple[State, Metrics]:
        trainable, frozen = rules_lib.split(state.params, rules)
        grad = jax.grad(loss_fn, has_aux=True)
        grads, (moved, metrics) = grad(trainable, frozen, state.model_state, batch, hyper["dropout"])
        if axis_name is not None:
            grads, moved = jax.lax.pmean((grads, moved), axis_name)
            metrics = jax.lax.psum(metrics, axis_name)
        updates, opt_state = tx.update(grads, state.opt_state, trainable, **hyper)
        moved_leaves: Any = optax.apply_updates(trainable, updates)
        params = rules_lib.merge(moved_leaves, frozen)
        metrics["grad_norm"] = optax.tree.norm(grads)
        averages = state.ema if ema is None else _average(moved_leaves, state.ema, decay=ema, step=state.step)
        after = State(state.step + 1, params, {**state.model_state, **moved}, opt_state, averages)
        return _unless_finite(grads, state, after, metrics) if skip_nonfinite else (after, metrics)

    return train_step


def make_eval_step(*, apply: Apply) -> Callable[[State, Batch], Metrics]:
    """Masked sums over a batch: `image`, `label`, `mask` `[N]` f32 (0 for padding) -> `loss`, `correct`, `count`.

    Where the state has averages, they are what is evaluated.
    """

    def eval_step(state: State, batch: Batch) -> Metrics:
        logits, _ = apply({"params": averaged(state), **state.model_state}, batch["image"], train=False)
        hits = (predicted(logits) == batch["label"]).astype(jnp.float32)
        mask = batch["mask"]
        return {
            "loss": (per_example_loss(logits, batch["label"]) * mask).sum(),
            "correct": (hits * mask).sum(),
            "count": mask.sum(),
        }

    return eval_step


def averaged(state: State) -> dict[str, Any]:
    """The parameters, with their moving averages where the state has them."""
    if not state.ema:
        return state.params
    return rules_lib.merge(state.ema, {p: x for p, x in flatten(state.params).items() if p not in state.ema})


def init_state(
    params: dict[str, Any],
    *,
    model_state: dict[str, Any],
    tx: optax.GradientTransformationExtraArgs,
    rules: rules_lib.Rules,
    ema: float | None = None,
) -> State:
    """A fresh state: optimizer state, and averages if wanted, exist for the trainable leaves only."""
    trainable, _ = rules_lib.split(params, rules)
    return State(jnp.int32(0), params, model_state, tx.init(trainable), {} if ema is None else dict(trainable))


def _unless_finite(grads: Any, before: State, after: State, metrics: Metrics) -> tuple[State, Metrics]:
    """The state and metrics after the step if its loss and gradients are finite, else those of a step not taken."""
    finite = [jnp.isfinite(leaf).all() for leaf in [metrics["loss"], *jax.tree.leaves(grads)]]
    good = jnp.stack(finite).all()

    def kept(old: Array, new: Array) -> Array:
        return new if new is old else jnp.where(good, new, old)  # what is handed through has to stay so

    chosen = jax.tree.map(kept, before, after).replace(step=after.step)
    counted = {name: jnp.where(good, value, jnp.zeros_like(value)) for name, value in metrics.items()}
    return chosen, {**counted, "skipped": 1 - good.astype(jnp.int32)}


def _average(leaves: dict[str, Array], averages: dict[str, Array], *, decay: float, step: Array) -> dict[str, Array]:
    """A moving average that is young at first: the decay is at most (1 + step) / (10 + step), as in TensorFlow's."""
    decay_now = jnp.minimum(decay, (1 + step) / (10 + step))
    return {path: decay_now * averages[path] + (1 - decay_now) * leaf for path, leaf in leaves.items()}
