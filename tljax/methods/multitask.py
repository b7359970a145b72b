"""Train one base on two tasks, at once or in turn.

At once, each step reads a batch of either: hard parameter sharing (Caruana 1997).
"""

# pyright: strict

from dataclasses import asdict, dataclass, replace

import jax
import jax.numpy as jnp
from jax import Array

from tljax.config import Stage
from tljax.data import ImageSets
from tljax.data.augment import Augmentation
from tljax.data.examples import Sets
from tljax.data.preprocess import TORCH, Preprocess, of_pixels
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.models import build
from tljax.models.build import Network
from tljax.optim import rules as rules_lib
from tljax.optim.objective import Objective
from tljax.tasks.classification import CLASSIFICATION, predicted
from tljax.tasks.task import Task, sums
from tljax.train import logits as predictions
from tljax.train import loop, rung, setup
from tljax.train.history import History, OnEpoch, ignore
from tljax.train.ready import Ready
from tljax.train.resume import Saver
from tljax.train.second_batch import Beside
from tljax.train.source import Source
from tljax.train.step import Apply, Batch, Loss, Losses, MakeLoss, State, Variables, averaged
from tljax.tree import statistics


@dataclass(frozen=True)
class Other:
    """Describe the second task: its photographs, batch size, augmentation, and the loss weights."""

    sets: ImageSets
    batch_size: int
    augment: Augmentation | None = None
    own_weight: float = 1.0  # of the first task's mean loss
    weight: float = 1.0  # of this one's


def weighted(*, own_weight: float, weight: float) -> MakeLoss:
    """Make a loss for `Beside.loss`: the mean cross entropies of both heads, each times its weight.

    The metrics have those of the second batch as `beside_loss` and `beside_accuracy`.
    """

    def make(apply: Apply, objective: Objective, task: Task) -> Loss:
        if objective.mixup:
            raise InputError(
                "two tasks: expected an objective without mixup; it would mix the tasks"
            )

        def loss(variables: Variables, batch: Batch, rate: Array) -> Losses:
            ours, theirs = batch["label"], batch["beside"]["label"]
            images, keys = (
                jnp.concatenate([batch[name], batch["beside"][name]]) for name in ("image", "key")
            )
            (logits, others), moved = apply(
                variables,
                images,
                method="together",
                own=len(ours),
                train=True,
                rate=rate,
                keys=keys,
                mutable=list(statistics(variables)),
            )
            losses, beside = (
                task.losses(logits, ours, objective),
                CLASSIFICATION.losses(others, theirs),
            )
            metrics = {
                "loss": losses.sum(),
                **sums(task, logits, ours),
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
    source: Source,
    *,
    other: Other | None,
    seed: int,
    on_epoch: OnEpoch = ignore,
    saver: Saver | None = None,
) -> rung.Trained:
    """Train a base with the head of `source.sets`, and with that of another task if there is one.

    It starts from the base of `source` if there is one, else from random parameters. The stage's
    rules decide `base/`, `head/` and, with another task, `other/`. The result is a plain
    classifier: batch normalisation is folded away at the end, and the other head left out.
    """
    sets, weights = source.sets, source.weights
    size, classes = sets.size, len(sets.classes)
    if other and other.sets.size != size:
        raise InputError(f"two tasks: expected images of {size} pixels, found {other.sets.size}")
    network = source.network_on_base(network)
    module = build.classifier(network, classes=classes, dtype=source.dtype)
    if other:
        module = build.two_headed(
            network, classes=classes, others=len(other.sets.classes), dtype=source.dtype
        )
    variables = setup.with_base(build.init(module, key=jax.random.key(seed), size=size), weights)
    preprocess = of_pixels(weights.preprocess, where="two tasks") if weights else TORCH
    read = inputs.from_images(sets, augment=stage.augment, preprocess=preprocess)
    ready = Ready(
        module, variables, read, network, preprocess, _second(other, preprocess) if other else None
    )
    state, history = loop.train_stage(
        stage, ready, seed=seed, on_epoch=on_epoch, saver=saver, progress=source.progress
    )
    return _trained(stage, ready, state, history, source)


def in_turn(
    first: Stage,
    stage: Stage,
    network: Network,
    source: Source,
    *,
    other: ImageSets,
    seed: int,
    on_epoch: OnEpoch = ignore,
    savers: tuple[Saver | None, Saver | None] = (None, None),
) -> rung.Trained:
    """Train the base on the other task, then with a fresh head on `source.sets`.

    The first part is by the stage `first`, from random parameters, the second by `stage`. The
    network is that of `run`, batch statistics included. The history is that of `stage`, except the
    seconds, which are those of both.
    """
    before = _fresh(first, network, other, source, seed=seed)
    learnt, history = loop.train_stage(
        first, before, seed=seed, saver=savers[0], progress=source.progress
    )
    seconds = history.seconds
    ready = _fresh(stage, network, source.sets, source, seed=seed)
    params = {**ready.variables["params"], "base": averaged(learnt)["base"]}
    # Only the base has batch statistics.
    ready = replace(ready, variables={"params": params, **learnt.model_state})
    state, history = loop.train_stage(
        stage, ready, seed=seed, on_epoch=on_epoch, saver=savers[1], progress=source.progress
    )
    history.seconds += seconds
    return _trained(stage, ready, state, history, source)


def _fresh(stage: Stage, network: Network, sets: Sets, source: Source, *, seed: int) -> Ready:
    """Return a classifier of these photographs with random parameters."""
    module = build.classifier(network, classes=len(sets.classes), dtype=source.dtype)
    variables = build.init(module, key=jax.random.key(seed), size=sets.size)
    read = inputs.from_images(sets, augment=stage.augment, preprocess=TORCH)
    return Ready(module, variables, read, network, TORCH)


def _second(other: Other, preprocess: Preprocess) -> Beside:
    read = inputs.from_images(other.sets, augment=other.augment, preprocess=preprocess)
    return Beside(
        read, other.batch_size, weighted(own_weight=other.own_weight, weight=other.weight)
    )


def _trained(
    stage: Stage, ready: Ready, state: State, history: History, source: Source
) -> rung.Trained:
    plain, network = _plain(state, ready.described())
    module = build.classifier(network, classes=len(source.sets.classes), dtype=source.dtype)
    logits = predictions.held_out(
        plain, module=module, inputs=ready.inputs, batch_size=stage.batch_size
    )
    trainable, _ = rules_lib.split(state.params, stage.rules)
    moving, total = (
        sum(leaf.size for leaf in jax.tree.leaves(tree)) for tree in (trainable, state.params)
    )
    return rung.Trained(
        plain,
        history,
        network,
        ready.preprocess,
        moving,
        total,
        logits,
        classes=ready.inputs.classes,
        size=ready.inputs.size,
        rung=stage.name,
        seed=history.epochs[-1]["seed"],
        scores=predictions.scores_of(logits, ready.inputs),
        stage=asdict(stage),
        data=ready.inputs.digest,
    )


def _plain(state: State, network: Network) -> tuple[State, Network]:
    """Return base and first head, with batch normalisation folded away where that is exact.

    The optimizer's state belongs to other leaves, and is left out.
    """
    params = averaged(state)
    base = build.base_variables({"params": params, **state.model_state})
    network, base = build.folded(network, base)
    statistics = {kind: {"base": tree} for kind, tree in base.items() if kind != "params"}
    plain = {"base": base["params"], "head": params["head"]}
    return State(state.step, plain, statistics, {}), network
