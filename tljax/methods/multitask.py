"""Two tasks on one base: at once, each step on a batch of either (hard parameter sharing, Caruana 1997), or in turn."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from tljax.config import Stage
from tljax.data import ImageSets
from tljax.data.augment import Augment
from tljax.data.preprocess import TORCH
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.models import build, vgg
from tljax.models.build import Network
from tljax.optim import rules as rules_lib
from tljax.optim.objective import Objective, per_example_loss, predicted
from tljax.train import logits as predictions
from tljax.train import loop, rung
from tljax.train.resume import Saver
from tljax.train.second_batch import Beside
from tljax.train.step import Apply, Batch, Loss, State, averaged
from tljax.weights import Weights, merge


@dataclass(frozen=True)
class Other:
    """The second task: its photographs, how many a step has, how they are augmented, and what each loss weighs."""

    sets: ImageSets
    batch_size: int
    augment: Augment | None = None
    own_weight: float = 1.0  # of the first task's mean loss
    weight: float = 1.0  # of this one's


def weighted(*, own_weight: float, weight: float) -> Callable[[Apply, Objective], Loss]:
    """For `Beside.loss`: the mean cross entropies of both heads, each times its weight.

    The metrics have those of the batch beside it as `beside_loss` and `beside_accuracy`.
    """

    def make(apply: Apply, objective: Objective) -> Loss:
        if objective.mixup:
            raise InputError("two tasks: expected an objective without mixup; it would mix the tasks")

        def loss(variables: dict[str, Any], batch: Batch, rate: Array) -> Any:
            ours, theirs = batch["label"], batch["beside"]["label"]
            images, keys = (jnp.concatenate([batch[name], batch["beside"][name]]) for name in ("image", "key"))
            options: dict[str, Any] = {
                "train": True,
                "rate": rate,
                "keys": keys,
                "mutable": [n for n in variables if n != "params"],
            }
            (logits, others), moved = apply(variables, images, method="together", own=len(ours), **options)
            losses, beside = per_example_loss(logits, ours, objective), per_example_loss(others, theirs)
            metrics = {
                "loss": losses.sum(),
                "correct": (predicted(logits) == ours).sum(),
                "count": jnp.int32(len(ours)),
                "beside_loss": beside.mean() * len(ours),
                "beside_accuracy": (predicted(others) == theirs).mean() * len(ours),
            }
            return own_weight * losses.mean() + weight * beside.mean(), (moved, metrics)

        return loss

    return make


def run(
    stage: Stage,
    network: Network,
    sets: ImageSets,
    *,
    other: Other | None,
    seed: int,
    weights: Weights | None = None,
    dtype: Any = jnp.float32,
    on_epoch: Callable[[dict[str, Any], State], None] = lambda record, state: None,
    saver: Saver | None = None,
    progress: bool = True,
) -> rung.Trained:
    """Train a base with the head of `sets`, and that of the other task where there is one; a plain classifier is left.

    From `weights` where given, else from nothing. The stage's rules decide `base/`, `head/` and, with another task,
    `other/`. Batch normalisation is folded away at the end, and the other head left out.
    """
    size, classes = sets.train.images.shape[1], len(sets.classes)
    if other and other.sets.train.images.shape[1] != size:
        raise InputError(f"two tasks: expected images of {size} pixels, found {other.sets.train.images.shape[1]}")
    network = replace(network, width=rung.width_of(weights)) if weights else network
    module: Any = build.classifier(network, classes=classes, dtype=dtype)
    if other:
        module = build.two_headed(network, classes=classes, others=len(other.sets.classes), dtype=dtype)
    variables = build.init(module, key=jax.random.key(seed), size=size)
    if weights:
        base = merge(weights.params, variables["params"]["base"], source=weights.source)
        variables = {**variables, "params": {**variables["params"], "base": base}}
    preprocess = weights.preprocess if weights else TORCH
    read = inputs.from_images(sets, augment=stage.augment, preprocess=preprocess)
    beside = _beside(other, preprocess) if other else None
    given: dict[str, Any] = {"module": module, "variables": variables, "inputs": read, "beside": beside}
    state, history = loop.train_stage(stage, **given, seed=seed, on_epoch=on_epoch, saver=saver, progress=progress)
    trained = _trained(stage, network, state, history, classes=classes, read=read, dtype=dtype)
    return replace(trained, preprocess=preprocess)


def in_turn(
    first: Stage,
    stage: Stage,
    network: Network,
    sets: ImageSets,
    *,
    other: ImageSets,
    seed: int,
    dtype: Any = jnp.float32,
    on_epoch: Callable[[dict[str, Any], State], None] = lambda record, state: None,
    savers: tuple[Saver | None, Saver | None] = (None, None),
    progress: bool = True,
) -> rung.Trained:
    """Train the base on the other task by the stage `first`, then, under a fresh head, by `stage` on that of `sets`.

    From nothing, with the same network as `run`, batch statistics included. The history is that of `stage`, but for
    the seconds, which are those of both.
    """
    options: dict[str, Any] = {"seed": seed, "progress": progress}
    modules = [build.classifier(network, classes=len(task.classes), dtype=dtype) for task in (other, sets)]
    starts = [build.init(module, key=jax.random.key(seed), size=sets.train.images.shape[1]) for module in modules]
    reads = [
        inputs.from_images(task, augment=how.augment, preprocess=TORCH) for task, how in ((other, first), (sets, stage))
    ]
    given: dict[str, Any] = {"module": modules[0], "variables": starts[0], "inputs": reads[0], "saver": savers[0]}
    learnt, before = loop.train_stage(first, **given, **options)
    params = {**starts[1]["params"], "base": averaged(learnt)["base"]}
    variables = {"params": params, **learnt.model_state}  # of which only the base has some
    given = {"module": modules[1], "variables": variables, "inputs": reads[1], "saver": savers[1]}
    state, history = loop.train_stage(stage, **given, on_epoch=on_epoch, **options)
    history.seconds += before.seconds
    return _trained(stage, network, state, history, classes=len(sets.classes), read=reads[1], dtype=dtype)


def _beside(other: Other, preprocess: Any) -> Beside:
    read = inputs.from_images(other.sets, augment=other.augment, preprocess=preprocess)
    return Beside(read, other.batch_size, weighted(own_weight=other.own_weight, weight=other.weight))


def _trained(
    stage: Stage, network: Network, state: State, history: loop.History, *, classes: int, read: Any, dtype: Any
) -> rung.Trained:
    plain, network = _plain(state), replace(network, norm=False)
    module = build.classifier(network, classes=classes, dtype=dtype)
    said = predictions.held_out(plain, module=module, inputs=read, batch_size=stage.batch_size)
    trainable, _ = rules_lib.split(state.params, stage.rules)
    moving, total = (sum(leaf.size for leaf in jax.tree.leaves(tree)) for tree in (trainable, state.params))
    return rung.Trained(plain, history, network, TORCH, moving, total, said)


def _plain(state: State) -> State:
    """Base and first head, without batch normalisation; the optimizer's state is of other leaves, and left out."""
    params = averaged(state)
    base, statistics = params["base"], state.model_state.get("batch_stats", {}).get("base")
    base = vgg.fold_norm(base, statistics) if statistics else base
    return State(state.step, {"base": base, "head": params["head"]}, {}, {})
