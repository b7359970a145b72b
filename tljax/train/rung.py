"""One rung of the ladder: a stage and a network, on photographs, from a base or from the rung before."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tljax.config import Stage
from tljax.data import ImageSets
from tljax.data.preprocess import UNIT, Preprocess
from tljax.errors import InputError
from tljax.files import orbax_store
from tljax.inputs import images as inputs
from tljax.inputs import views
from tljax.inputs.activations import Store
from tljax.linear.logistic import Solution
from tljax.machine import devices
from tljax.models import build
from tljax.models.build import Network
from tljax.models.heads import Classifier
from tljax.optim import rules as rules_lib
from tljax.train import alarms, loop, lr_finder, solver
from tljax.train import logits as predictions
from tljax.train.program import Program, start
from tljax.train.resume import Saver
from tljax.train.step import State, averaged
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
    logits: dict[str, np.ndarray] = field(default_factory=dict)  # held-out split -> `[N, outputs]` float32
    restored: bool = False  # from its checkpoint, not trained just now: without a history
    finding: lr_finder.Finding | None = None  # the range test that gave the rate, with `lr="find"`
    solution: Solution | None = None  # of a stage that was solved
    files: tuple[Path, ...] = ()  # of the activations that it was trained from
    alarm: alarms.Alarm | None = None  # what is wrong with it on the validation images


@dataclass(frozen=True)
class Ready:
    """All that a stage needs, before its first step."""

    module: Classifier
    variables: dict[str, Any]
    inputs: inputs.Inputs
    network: Network
    preprocess: Preprocess
    seconds: float = 0.0  # in which it was made, activations included


def prepare(
    stage: Stage,
    network: Network,
    sets: ImageSets,
    *,
    seed: int,
    store: Store,
    weights: Weights | None = None,
    before: Trained | None = None,
    dtype: Any = jnp.float32,
    ahead: Sequence[Stage] = (),
    progress: bool = True,
) -> Ready:
    """Module, parameters and inputs of a stage.

    The base is `before`'s if given (with its head), else that of `weights`, else random. `store` is the folder (or
    folders) for the activations of a frozen prefix, used where the stage has `views`; `ahead` are the stages to come.
    """
    began = time.perf_counter()
    pretrained = weights if network.base == "vgg16" else None
    if before is not None:
        network = replace(network, width=before.network.width, feature_norm=before.network.feature_norm)
        variables: dict[str, Any] = {"params": averaged(before.state), **before.state.model_state}
        preprocess = before.preprocess
    else:
        network = replace(network, width=width_of(pretrained)) if pretrained else network
        variables = build.init(
            build.classifier(network, classes=len(sets.classes), dtype=dtype),
            key=jax.random.key(seed),
            size=sets.train.images.shape[1],
        )
        preprocess = pretrained.preprocess if pretrained else UNIT
        if pretrained:
            base = merge(pretrained.params, variables["params"]["base"], source=pretrained.source)
            variables = {**variables, "params": {**variables["params"], "base": base}}
    frozen = rules_lib.frozen_layers(variables["params"], stage.rules)
    module = build.classifier(network, classes=len(sets.classes), frozen=frozen, dtype=dtype)
    stage, said = views.settled(stage, network, sets, dtype=dtype)
    if said and progress:
        print(said, flush=True)
    ahead = [views.settled(later, network, sets, dtype=dtype)[0] for later in ahead]
    options = {"preprocess": preprocess, "store": store, "ahead": ahead, "progress": progress}
    read = views.reading(stage, module, variables["params"], sets, **options)
    return Ready(module, variables, read, network, preprocess, time.perf_counter() - began)


def outline(
    stage: Stage,
    network: Network,
    sets: ImageSets,
    *,
    preprocess: Preprocess = UNIT,
    dtype: Any = jnp.float32,
) -> Ready:
    """The same from shapes alone: `variables` are shapes, views zeros that take no memory. `network` has its width."""
    classes, side = len(sets.classes), sets.train.images.shape[1]
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    fresh = build.classifier(network, classes=classes, dtype=dtype)
    variables = jax.eval_shape(fresh.init, jax.random.key(0), images)
    frozen = rules_lib.frozen_layers(variables["params"], stage.rules)
    module = build.classifier(network, classes=classes, frozen=frozen, dtype=dtype)
    stage, _ = views.settled(stage, network, sets, dtype=dtype)
    read = views.promised(stage, module, variables["params"], sets, preprocess=preprocess)
    return Ready(module, variables, read, network, preprocess)


def run(
    stage: Stage,
    network: Network,
    sets: ImageSets,
    *,
    seed: int,
    store: Store,
    weights: Weights | None = None,
    before: Trained | None = None,
    carry: bool = False,
    dtype: Any = jnp.float32,
    ahead: Sequence[Stage] = (),
    on_epoch: Callable[[dict[str, Any], State], None] = lambda record, state: None,
    saver: Saver | None = None,
    finished: Path | None = None,
    program: Program | None = None,
    progress: bool = True,
) -> Trained:
    """Train one rung, from what `prepare` makes of these arguments.

    `carry` keeps the optimizer state of `before` for the leaves that were training already. `finished` is the
    folder of checkpoints of this very rung where it was trained before; `saver` continues one that was not finished.
    `program` is the stage's where it was compiled ahead.
    """
    options = {"seed": seed, "store": store, "weights": weights, "before": before, "dtype": dtype, "progress": progress}
    ready = prepare(stage, network, sets, ahead=ahead, **options)
    settings = {"module": ready.module, "variables": ready.variables, "inputs": ready.inputs, "seed": seed}
    if finished is not None:
        try:
            return _restored(stage, ready, finished)
        except InputError as error:
            print(f"{error}; trained again", flush=True)
    if stage.solver == "lbfgs":
        state, history, solution = solver.solve_stage(stage, **settings, on_epoch=on_epoch, progress=progress)
        return replace(trained(stage, ready, state, history), solution=solution)
    began = time.perf_counter()
    finding = lr_finder.find(stage, **settings) if stage.lr == "find" else None
    spent = time.perf_counter() - began + (program.seconds if program else 0.0)
    if finding:
        stage = replace(stage, lr=lr_finder.valley(stage, finding))
    state, history = loop.train_stage(
        stage,
        **settings,
        carried=before.state.opt_state if carry and before is not None else None,
        on_epoch=on_epoch,
        saver=saver,
        program=program,
        progress=progress,
    )
    history.seconds += spent
    return replace(trained(stage, ready, state, history), finding=finding)


def _restored(stage: Stage, ready: Ready, directory: Path) -> Trained:
    settings = {"module": ready.module, "variables": ready.variables, "inputs": ready.inputs}
    target, *_ = start(stage, **settings, over=devices.mesh_for(stage.batch_size))
    step = orbax_store.latest_step(directory)
    if step is None:
        raise InputError(f"{directory}: expected the checkpoint of a finished rung, found none")
    state, _ = orbax_store.restore(directory, step, target)
    return replace(trained(stage, ready, state, loop.History()), restored=True)


def trained(stage: Stage, ready: Ready, state: State, history: loop.History) -> Trained:
    """What a rung leaves, from its last state; computes its logits on what was held out.

    The seconds of its history become those of the whole rung: with what made it ready and with the logits.
    """
    began = time.perf_counter()
    trainable, frozen = rules_lib.split(state.params, stage.rules)
    moved, total = _count(trainable), _count(trainable) + _count(frozen)
    said = predictions.held_out(state, module=ready.module, inputs=ready.inputs, batch_size=stage.batch_size)
    history.features_seconds = ready.inputs.seconds
    alarm = _alarm(stage, history, said["validation"], ready.inputs.validation.labels)
    history.seconds += ready.seconds + time.perf_counter() - began
    return Trained(
        state, history, ready.network, ready.preprocess, moved, total, said, files=ready.inputs.files, alarm=alarm
    )


def _alarm(stage: Stage, history: loop.History, logits: np.ndarray, labels: np.ndarray) -> alarms.Alarm | None:
    """Say what is wrong with a stage that was just trained; of one that learnt nothing, chance has been said."""
    if not history.epochs:
        return None
    end = history.result()
    found = alarms.alarm(logits, labels, training_loss=end["train"]["loss"])
    if found and found.kind == "at chance" and history.collapsed and history.collapsed.learnt_nothing:
        return None
    if found:
        alarms.say(found, stage=stage.name, seed=end["seed"])
    return found


def width_of(weights: Weights) -> float:
    """The width multiplier of the VGG16 in a weights file; InputError for another network."""
    name, width = (weights.architecture.get(key) for key in ("name", "width"))
    if name != "vgg16" or not isinstance(width, int | float):
        source = weights.source or "weights"
        raise InputError(f"{source}: expected the base of a vgg16 with its width, found {weights.architecture}")
    return width


def _count(leaves: dict[str, Any]) -> int:
    return sum(leaf.size for leaf in leaves.values())
