"""Train a base on a source task, and keep it as a weights file."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import jax
import jax.numpy as jnp

from tljax.config import Stage
from tljax.data import ImageSets
from tljax.data.examples import Sets
from tljax.data.photos import side
from tljax.data.preprocess import TORCH, Prepare
from tljax.inputs import images as inputs
from tljax.machine import processes
from tljax.machine.provenance import environment
from tljax.models import build
from tljax.models.build import Network
from tljax.tasks.language import Language
from tljax.train import loop
from tljax.train.history import Record
from tljax.train.ready import Ready
from tljax.train.resume import Saver
from tljax.train.setup import with_base
from tljax.train.source import Source
from tljax.train.step import State, averaged
from tljax.tree import Params, Variables
from tljax.weights import Weights, merge, write


def pretrain(
    source: Source,
    stage: Stage,
    *,
    network: Network,
    seed: int,
    out: Path,
    saves: Path,
    listeners: Sequence[Callable[[Record], None]] = (),
) -> Weights:
    """Train the base of this network, from nothing or from `source.weights`, and write it.

    It is written after every epoch, a language model with its head. `saves` holds checkpoints
    until training is done; training continues from those already there.
    """
    sets, dtype, size = source.sets, source.dtype, side(source.sets.size)
    # It begins at random, where there is nothing to go back to.
    stage = replace(stage, keep_going=True)
    norm = {"norm": True} if "norm" in network.architecture.options else {}
    network = replace(network, options={**network.options, **norm}, hidden=0)
    module = build.classifier(network, task=sets.task, classes=len(sets.classes), dtype=dtype)
    variables = build.init_like(module, key=jax.random.key(seed), like=sets.spec)
    variables, preprocess = _continued(variables, source.weights), _before(sets)
    saved: list[Weights] = []

    def log(record: Record, state: State) -> None:
        for listener in listeners if processes.first() else ():
            listener(record)
        if record["epoch"] > 0:
            save(record, state)

    def save(record: Record, state: State) -> None:
        trained = build.base_variables({"params": averaged(state), **state.model_state})
        plain, base = build.folded(network, trained)
        provenance = {
            "data": sets.name,
            "digest": sets.digest,
            "size": size,
            "seed": seed,
            "epochs": stage.epochs,
        }
        provenance |= {"record": record, "environment": environment()}
        saved[:] = [
            Weights(
                jax.device_get(base["params"]),
                {"name": plain.base, **plain.options},
                preprocess,
                sets.classes,
                provenance,
                top=_top(sets, averaged(state)),
                statistics=jax.device_get(base.get("batch_stats", {})),
            )
        ]
        if not processes.first():
            return
        out.parent.mkdir(parents=True, exist_ok=True)
        write(out, saved[0])

    read = inputs.from_images(sets, augment=stage.augment, preprocess=preprocess)
    identity = {
        "stage": asdict(stage),
        "data": sets.digest,
        "size": size,
        "network": asdict(network),
        "seed": seed,
    }
    saver = Saver(saves, identity={**identity, "dtype": jnp.dtype(dtype).name})
    ready = Ready(module, variables, read, network, preprocess)
    state, history = loop.train_stage(
        stage, ready, seed=seed, on_epoch=log, saver=saver, progress=source.progress
    )
    if not saved:  # nothing was left to train
        save(history.epochs[-1], state)
    shutil.rmtree(saves, ignore_errors=True)
    return saved[0]


def _before(sets: Sets) -> Prepare:
    """Return what comes before the network: torchvision's mean and deviation, or a vocabulary."""
    return TORCH if isinstance(sets, ImageSets) else sets.preprocess


def _top(sets: Sets, params: Params) -> Params | None:
    """Return the head of a language model, which goes on from it; other tasks leave theirs."""
    return jax.device_get(params["head"]) if isinstance(sets.task, Language) else None


def _continued(variables: Variables, weights: Weights | None) -> Variables:
    """Return the variables with those of the weights in them: the base, and its top for a head."""
    variables = with_base(variables, weights)
    if weights is None or weights.top is None:
        return variables
    head = merge(weights.top, variables["params"]["head"], source=weights.source)
    return {**variables, "params": {**variables["params"], "head": head}}
