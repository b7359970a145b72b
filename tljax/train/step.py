"""State x batch -> State: pure, and ignorant of files and configuration."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array

from tljax.optim import rules as rules_lib

Metrics = dict[str, Array]
Batch = dict[str, Any]
Apply = Callable[..., Any]


class State(struct.PyTreeNode):
    """What a step changes. `params` `{"base", "head"}`; `model_state` holds batch statistics or nothing."""

    step: Array
    params: dict[str, Any]
    model_state: dict[str, Any]
    opt_state: Any


def per_example_loss(logits: Array, labels: Array) -> Array:
    """Cross entropy `[N]`: of a sigmoid where `logits` is `[N, 1]`, else of a softmax over `[N, C]`."""
    if logits.shape[-1] == 1:
        return optax.sigmoid_binary_cross_entropy(logits[:, 0], labels.astype(logits.dtype))
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def predicted(logits: Array) -> Array:
    """Class index `[N] int32`."""
    if logits.shape[-1] == 1:
        return (logits[:, 0] > 0).astype(jnp.int32)
    return logits.argmax(-1).astype(jnp.int32)


def make_train_step(
    *,
    apply: Apply,
    tx: optax.GradientTransformationExtraArgs,
    rules: rules_lib.Rules,
    axis_name: str | None = None,
) -> Callable[[State, Batch, dict[str, Array]], tuple[State, Metrics]]:
    """A step that differentiates the leaves which `rules` train, and no others.

    `apply(variables, x, train=, rate=, keys=, mutable=)` is a Flax model's; `tx` works on flat trees of the trainable
    leaves (`optim.transform.make`). Batch: `image` `[N, ...]` f32, `label` `[N]` int32, `key` `[N]` typed keys for
    dropout. Hyperparameters are traced scalars: `lr`, `dropout`. Metrics are sums over the batch: `loss`, `correct`,
    `count`; and `grad_norm`, over the trainable leaves. With `axis_name` gradients, statistics and metrics are
    averaged or summed over that `pmap` axis.
    """

    def loss_fn(trainable: Any, frozen: Any, model_state: Any, batch: Batch, rate: Array) -> Any:
        variables = {"params": rules_lib.merge(trainable, frozen), **model_state}
        (logits, _), moved = apply(
            variables, batch["image"], train=True, rate=rate, keys=batch["key"], mutable=list(model_state)
        )
        losses = per_example_loss(logits, batch["label"])
        correct = (predicted(logits) == batch["label"]).sum()
        return losses.mean(), (
            moved,
            {"loss": losses.sum(), "correct": correct, "count": jnp.int32(losses.size)},
        )

    def train_step(state: State, batch: Batch, hyper: dict[str, Array]) -> tuple[State, Metrics]:
        trainable, frozen = rules_lib.split(state.params, rules)
        grad = jax.grad(loss_fn, has_aux=True)
        grads, (moved, metrics) = grad(trainable, frozen, state.model_state, batch, hyper["dropout"])
        if axis_name is not None:
            grads, moved = jax.lax.pmean((grads, moved), axis_name)
            metrics = jax.lax.psum(metrics, axis_name)
        updates, opt_state = tx.update(grads, state.opt_state, trainable, lr=hyper["lr"])
        moved_leaves: Any = optax.apply_updates(trainable, updates)
        params = rules_lib.merge(moved_leaves, frozen)
        metrics["grad_norm"] = optax.tree.norm(grads)
        return State(state.step + 1, params, {**state.model_state, **moved}, opt_state), metrics

    return train_step


def make_eval_step(*, apply: Apply) -> Callable[[State, Batch], Metrics]:
    """Masked sums over a batch: `image`, `label`, `mask` `[N]` f32 (0 for padding) -> `loss`, `correct`, `count`."""

    def eval_step(state: State, batch: Batch) -> Metrics:
        logits, _ = apply({"params": state.params, **state.model_state}, batch["image"], train=False)
        hits = (predicted(logits) == batch["label"]).astype(jnp.float32)
        mask = batch["mask"]
        return {
            "loss": (per_example_loss(logits, batch["label"]) * mask).sum(),
            "correct": (hits * mask).sum(),
            "count": mask.sum(),
        }

    return eval_step


def init_state(
    params: dict[str, Any],
    *,
    model_state: dict[str, Any],
    tx: optax.GradientTransformationExtraArgs,
    rules: rules_lib.Rules,
) -> State:
    """A fresh state: optimizer state exists for the trainable leaves only."""
    trainable, _ = rules_lib.split(params, rules)
    return State(jnp.int32(0), params, model_state, tx.init(trainable))
