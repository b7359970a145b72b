"""A task in another domain: what was learnt on the source, seen on the target, with or without adaptation."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from tljax.config import Stage
from tljax.data import ImageSets
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.methods import coral
from tljax.models import build
from tljax.models.build import Network
from tljax.train import logits, loop, rung
from tljax.train.resume import Saver
from tljax.train.second_batch import Beside
from tljax.train.step import State
from tljax.weights import Weights

# Both terms of the loss end about alike, as the paper has it: of 256 hidden units the distance is some 1e-4.
CORAL_WEIGHT = 1000.0


def check(source: ImageSets, target: ImageSets) -> None:
    """InputError unless both have the same classes, in images of the same size."""
    if source.classes != target.classes:
        found = f"{', '.join(source.classes[:5])} and {', '.join(target.classes[:5])}"
        raise InputError(f"{target.name}: expected the classes of {source.name}, found {found}")
    sizes = [sets.train.images.shape[1] for sets in (source, target)]
    if sizes[0] != sizes[1]:
        raise InputError(f"{target.name}: expected images of {sizes[0]} pixels, found {sizes[1]}")


def moved(
    trained: rung.Trained, target: ImageSets, *, record: dict[str, Any], dtype: Any = jnp.float32
) -> rung.Trained:
    """A trained classifier as it is, with its logits on the target's held-out images and its scores there.

    `record` is that of its last epoch, as the loop has it.
    """
    module = build.classifier(trained.network, classes=len(target.classes), dtype=dtype)
    read = inputs.from_images(target, augment=None, preprocess=trained.preprocess)
    said = logits.held_out(trained.state, module=module, inputs=read, batch_size=32)
    record = {**record, "validation": logits.scores(said["validation"], target.validation.labels)}
    cost = {name: record[name] for name in ("seconds", "images_per_second")}
    history = replace(trained.history, epochs=[record], kept=None, collapsed=None, **cost)
    return replace(trained, history=history, logits=said, restored=False)


def by_coral(
    stage: Stage,
    network: Network,
    source: ImageSets,
    target: ImageSets,
    *,
    weight: float,
    seed: int,
    weights: Weights | None = None,
    dtype: Any = jnp.float32,
    on_epoch: Callable[[dict[str, Any], State], None] = lambda record, state: None,
    saver: Saver | None = None,
    progress: bool = True,
) -> rung.Trained:
    """Train on the source's labels with the target's training images beside them, as many a step; validated there.

    `weight` is that of the distance (`coral.aligned`). Both are augmented as the stage says.
    """
    check(source, target)
    shift = replace(source, validation=target.validation, test=target.test)
    where = Path()  # of features, which a stage that starts from photographs has none of
    ready = rung.prepare(stage, network, shift, seed=seed, store=where, weights=weights, dtype=dtype, progress=progress)
    unlabelled = inputs.from_images(target, augment=stage.augment, preprocess=ready.preprocess)
    beside = Beside(unlabelled, stage.batch_size, coral.aligned(weight=weight))
    given: dict[str, Any] = {
        "module": ready.module,
        "variables": ready.variables,
        "inputs": ready.inputs,
        "beside": beside,
    }
    state, history = loop.train_stage(stage, **given, seed=seed, on_epoch=on_epoch, saver=saver, progress=progress)
    return rung.trained(stage, ready, state, history)
