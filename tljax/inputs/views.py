"""The inputs that suit a stage: photographs, or views of them through its frozen prefix."""

# pyright: strict
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax import config
from tljax.config import Stage
from tljax.data.examples import Sets
from tljax.data.preprocess import UNIT, Prepare
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.inputs.activations import Store
from tljax.machine import memory
from tljax.models import build
from tljax.models.architecture import Architecture
from tljax.models.build import Network
from tljax.models.classifiers import Classifier, kept_as, reads_of
from tljax.optim import rules as rules_lib
from tljax.tree import Params, Variables


def prefix_stop(stage: Stage, architecture: Architecture, params: Params) -> str | None:
    """Name the last layer of the prefix that runs once for the stage's views.

    None for a stage without views, which starts from photographs. `params` are a classifier's, and
    may be shapes. InputError where the stage has views and its first layer trains.
    """
    if stage.views is None:
        return None
    if not architecture.pretrained:
        raise InputError(
            f"stage {stage.name!r}: views need a pretrained base; "
            "the network from scratch has no frozen prefix"
        )
    stop = architecture.frozen_prefix(_frozen(stage, params))
    if stop is None:
        raise InputError(
            f"stage {stage.name!r}: views need a frozen first layer; "
            f"its rules train {architecture.names[0]}"
        )
    return stop


def settled(
    stage: Stage, network: Network, sets: Sets, *, dtype: DTypeLike = jnp.float32
) -> tuple[Stage, str | None]:
    """Replace `views="auto"` by a number: (the stage, a line that says which number and why).

    The line is None for a stage that had a number. The number is the least of the stage's passes,
    `config.MOST_VIEWS` and what memory holds; where not even one view fits, it is None: photographs
    are augmented afresh. `network` has the options of its base.
    """
    if stage.views != "auto":
        return stage, None
    classes, task = len(sets.classes), sets.task
    fresh = build.classifier(network, task=task, classes=classes)
    variables = jax.eval_shape(fresh.init, jax.random.key(0), sets.spec)
    module = build.classifier(network, task=task, classes=classes, dtype=dtype)
    prefix = _prefix(stage, network, module, variables)
    if prefix is None:  # cannot be: the stage wants views
        return stage, None
    row, count = prefix.row(sets), len(sets.train.labels)
    view = count * row.size * row.dtype.itemsize
    most = min(config.MOST_VIEWS, stage.passes(count))
    views = min(most, room() // view)
    limit = "" if views == most else f", all that fit into {room() / 1e6:,.0f} MB"
    choice = (
        f"{views} augmented views of each photograph, saved after {prefix.stop} "
        f"({views * view / 1e6:,.0f} MB{limit})"
        if views
        else f"photographs are augmented afresh: one view of each after {prefix.stop} takes "
        f"{view / 1e6:,.0f} MB, and there is room for {room() / 1e6:,.0f} MB"
    )
    return replace(stage, views=views or None), f"{stage.name}: {task.worded(choice)}"


def room() -> int:
    """Return the bytes that activations may take.

    They fit on each device, and into a quarter of the host's memory.
    """
    host = memory.host()
    return min(memory.room(), host // 4)


def reading(
    stage: Stage,
    network: Network,
    module: Classifier,
    variables: Variables,
    sets: Sets,
    *,
    preprocess: Prepare,
    store: Store,
    ahead: Sequence[Stage] = (),
    progress: bool = True,
) -> inputs.Inputs:
    """Read photographs, or activations of the longest frozen prefix for a stage that has views.

    Activations are kept in `store`. `ahead` are the stages to come: what they need of earlier
    layers is kept on the way.
    """
    images = len(sets.train.labels)
    prefix = _prefix(stage, network, module, variables, preprocess=preprocess, images=images)
    if prefix is not None:
        prefix = replace(prefix, augmented=sets.augmented)
    if prefix is None:
        return inputs.from_images(sets, augment=stage.augment, preprocess=preprocess)
    passing = _passing(stage, ahead, prefix, variables["params"], images=images)
    return inputs.from_prefix(sets, prefix, store=store, passing=passing, progress=progress)


def _passing(
    stage: Stage, ahead: Sequence[Stage], prefix: inputs.Prefix, params: Params, *, images: int
) -> list[tuple[str, int]]:
    """List `(layer, views)` that stages to come read at layers before `stop`.

    A layer is left out if a stage in between trains it or a layer before it.
    """
    passed: list[tuple[str, int]] = []
    architecture, stop = prefix.architecture, prefix.stop
    reach = architecture.place(stop)
    for later in ahead:
        layer = architecture.frozen_prefix(_frozen(later, params))
        place = -1 if layer is None else architecture.place(layer)
        like = replace(
            later,
            augment=stage.augment,
            batch_size=stage.batch_size,
            features_dtype=stage.features_dtype,
        )
        if later.views is not None and later == like and 0 <= place <= reach and layer != stop:
            passed.append((str(layer), _count(later, images)))
        reach = min(reach, place)
    return passed


def promised(
    stage: Stage,
    network: Network,
    module: Classifier,
    variables: Variables,
    sets: Sets,
    *,
    preprocess: Prepare,
) -> inputs.Inputs:
    """Make what `reading` gives, with nothing computed.

    `variables` are shapes, and activations are zeros that take no memory.
    """
    images = len(sets.train.labels)
    prefix = _prefix(stage, network, module, variables, preprocess=preprocess, images=images)
    if prefix is not None:
        prefix = replace(prefix, augmented=sets.augmented)
    if prefix is None:
        return inputs.from_images(sets, augment=stage.augment, preprocess=preprocess)
    return inputs.promised(sets, prefix)


def _prefix(
    stage: Stage,
    network: Network,
    module: Classifier,
    variables: Variables,
    *,
    images: int = 1,
    preprocess: Prepare = UNIT,
) -> inputs.Prefix | None:
    architecture = network.architecture
    reads = reads_of(module.head)
    stop = prefix_stop(stage, architecture, variables["params"])
    if stop is None:
        return None
    reads = tuple(n for n in reads if architecture.place(n) <= architecture.place(stop))
    return inputs.Prefix(
        architecture,
        module.base,
        build.base_variables(variables),
        stop,
        preprocess,
        stage.augment,
        views=_count(stage, images),
        kept=stage.features_dtype,
        batch=stage.batch_size,
        reads=reads,
        kept_as=kept_as(module.head),
    )


def _count(stage: Stage, images: int) -> int:
    return 1 if not isinstance(stage.views, int) else min(stage.views, stage.passes(images))


def _frozen(stage: Stage, params: Params) -> set[str]:
    """Name the base's modules without a trainable parameter."""
    return {path.removeprefix("base/") for path in rules_lib.frozen_layers(params, stage.rules)}
