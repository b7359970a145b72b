"""One rung of the ladder: a stage and a network, on photographs, from a base or from the rung before."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from tljax.config import Stage
from tljax.data import ImageSets
from tljax.data.preprocess import UNIT, Preprocess
from tljax.errors import InputError
from tljax.models import build, vgg
from tljax.models.build import Network
from tljax.optim import rules as rules_lib
from tljax.train import inputs, loop
from tljax.train.features import longest_frozen_prefix
from tljax.train.step import State
from tljax.weights import Weights, merge


@dataclass(frozen=True)
class Trained:
    """What a rung leaves: its state, and all that is needed to use it."""

    state: State
    history: loop.History
    network: Network
    preprocess: Preprocess
    trainable_params: int
    total_params: int


def run(
    stage: Stage,
    network: Network,
    sets: ImageSets,
    *,
    seed: int,
    store: Path,
    weights: Weights | None = None,
    before: Trained | None = None,
    dtype: Any = jnp.float32,
    on_epoch: Callable[[dict[str, Any], State], None] = lambda record, state: None,
    progress: bool = True,
) -> Trained:
    """Train one rung.

    The base is `before`'s if given (with its head), else that of `weights`, else random. `store` is the HDF5 file
    for the activations of a frozen prefix, used where the stage has `views`.
    """
    size = sets.train.images.shape[1]
    if before is not None:
        network = replace(network, width=before.network.width)
    elif weights is not None and network.base == "vgg16":
        network = replace(network, width=_width(weights))
    module = build.classifier(network, classes=len(sets.classes), dtype=dtype)
    variables = build.init(module, key=jax.random.key(seed), size=size)
    frozen = rules_lib.frozen_layers(variables["params"], stage.rules)
    module = build.classifier(network, classes=len(sets.classes), frozen=frozen, dtype=dtype)
    preprocess = UNIT
    if before is not None:
        variables = {"params": before.state.params, **before.state.model_state}
        preprocess = before.preprocess
    elif weights is not None and network.base == "vgg16":
        base = merge(weights.params, variables["params"]["base"])
        variables = {**variables, "params": {**variables["params"], "base": base}}
        preprocess = weights.preprocess
    read = _inputs(stage, module, variables["params"], sets, seed, store, preprocess, progress)
    state, history = loop.train_stage(
        stage,
        module=module,
        variables=variables,
        inputs=read,
        seed=seed,
        on_epoch=on_epoch,
        progress=progress,
    )
    trainable, frozen = rules_lib.split(state.params, stage.rules)
    trained, total = _count(trainable), _count(trainable) + _count(frozen)
    return Trained(state, history, network, preprocess, trained, total)


def _inputs(
    stage: Stage,
    module: Any,
    params: dict[str, Any],
    sets: ImageSets,
    seed: int,
    store: Path,
    preprocess: Preprocess,
    progress: bool,
) -> inputs.Inputs:
    """Photographs, or activations of the longest frozen prefix where the stage asks for views."""
    if stage.views is None:
        return inputs.from_images(sets, augment=stage.augment, preprocess=preprocess)
    if not isinstance(module.base, vgg.VGG16):
        raise InputError(
            f"stage {stage.name!r}: views need a VGG16 base; the network from scratch has no frozen prefix"
        )
    frozen = {path.removeprefix("base/") for path in rules_lib.frozen_layers(params, stage.rules)}
    stop = longest_frozen_prefix(vgg.LAYERS, frozen & set(vgg.CONVS))
    if stop is None:
        raise InputError(f"stage {stage.name!r}: views need a frozen first layer; its rules train {vgg.LAYERS[0]}")
    prefix = inputs.Prefix(module.base, params["base"], stop, preprocess, stage.augment, views=stage.views, seed=seed)
    return inputs.from_prefix(sets, prefix, store=store, progress=progress)


def _width(weights: Weights) -> float:
    name, width = (weights.architecture.get(key) for key in ("name", "width"))
    if name != "vgg16" or not isinstance(width, int | float):
        raise InputError(f"weights: expected the base of a vgg16 with its width, found {weights.architecture}")
    return width


def _count(leaves: dict[str, Any]) -> int:
    return sum(leaf.size for leaf in leaves.values())
