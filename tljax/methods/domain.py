"""Test on a target domain what was learnt on the source, with or without adaptation."""

# pyright: strict

from dataclasses import replace

import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.config import Stage
from tljax.data import ImageSets
from tljax.data.examples import Sets
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.methods import coral
from tljax.models import build
from tljax.models.build import Network
from tljax.train import logits, loop, rung, setup
from tljax.train.history import OnEpoch, Record, ignore
from tljax.train.resume import Saver
from tljax.train.second_batch import Beside
from tljax.train.source import Source

# Both terms of the loss end about alike, as in the paper: with 256 hidden units the distance is
# some 1e-4.
CORAL_WEIGHT = 1000.0


def check(source: Sets, target: Sets) -> None:
    """Check that both have the same classes, in images of the same size; else InputError."""
    if source.classes != target.classes:
        found = f"{', '.join(source.classes[:5])} and {', '.join(target.classes[:5])}"
        raise InputError(f"{target.name}: expected the classes of {source.name}, found {found}")
    sizes = [sets.size for sets in (source, target)]
    if sizes[0] != sizes[1]:
        raise InputError(f"{target.name}: expected images of {sizes[0]} pixels, found {sizes[1]}")


def moved(
    trained: rung.Trained, target: ImageSets, *, record: Record, dtype: DTypeLike = jnp.float32
) -> rung.Trained:
    """Evaluate a trained classifier on the target's held-out images, without training it.

    The result is the classifier with its logits and scores there. `record` is the loop's record of
    its last epoch.
    """
    module = build.classifier(
        trained.network, task=trained.task, classes=len(target.classes), dtype=dtype
    )
    read = inputs.from_images(target, augment=None, preprocess=trained.preprocess)
    outputs = logits.held_out(trained.state, module=module, inputs=read, batch_size=32)
    scores = logits.scores_of(outputs, read)
    record = {**record, "validation": scores["validation"]}
    history = replace(
        trained.history,
        epochs=[record],
        kept=None,
        collapsed=None,
        seconds=record["seconds"],
        images_per_second=record["images_per_second"],
    )
    return replace(
        trained,
        history=history,
        logits=outputs,
        scores=scores,
        data=target.digest,
        restored=False,
    )


def by_coral(
    stage: Stage,
    network: Network,
    source: Source,
    target: ImageSets,
    *,
    weight: float,
    seed: int,
    on_epoch: OnEpoch = ignore,
    saver: Saver | None = None,
) -> rung.Trained:
    """Train on labels of `source.sets` and on unlabelled training images of the target.

    A step reads equally many of both, augmented as the stage says; validation is on the target.
    `weight` is that of the distance (`coral.aligned`).
    """
    check(source.sets, target)
    own = source.sets
    if not isinstance(own, ImageSets):
        raise InputError(f"{own.name}: expected photographs, found {own.task.name}")
    shifted = replace(own, validation=target.validation, test=target.test)
    ready = setup.prepare(stage, network, replace(source, sets=shifted), seed=seed)
    unlabelled = inputs.from_images(target, augment=stage.augment, preprocess=ready.preprocess)
    ready = replace(
        ready, second=Beside(unlabelled, stage.batch_size, coral.aligned(weight=weight))
    )
    state, history = loop.train_stage(
        stage, ready, seed=seed, on_epoch=on_epoch, saver=saver, progress=source.progress
    )
    return rung.trained(stage, ready, state, history)
