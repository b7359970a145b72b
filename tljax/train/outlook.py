"""What a plan will do, told before it runs and without computing anything."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from tljax.config import Plan, Stage
from tljax.data import ImageSets
from tljax.models import build, vgg
from tljax.models.build import Network
from tljax.optim import rules as rules_lib
from tljax.train import devices, rung
from tljax.train.dry import Dry
from tljax.train.segments import hyperparameters


@dataclass(frozen=True)
class Outlook:
    """What a stage will do. `rates` are the highest of each rule that trains; None where a range test decides."""

    name: str
    rates: dict[str, float | None]
    trainable_params: int
    total_params: int
    epochs: int
    steps: int
    images: int  # drawn in all
    step_flops: float  # of one step, by the compiler's count before it optimises


def outlook(plan: Plan, network: Network, sets: ImageSets) -> list[Outlook]:
    """What each stage of a plan will do, without computing anything; `network` has its width."""
    return [_outlook(stage, network, sets) for stage in plan.stages]


def _outlook(stage: Stage, network: Network, sets: ImageSets) -> Outlook:
    dry = planned(stage, network, classes=len(sets.classes), size=sets.train.images.shape[1])
    trainable, still = rules_lib.split(dry.variables["params"], stage.rules)
    steps = stage.epochs * stage.steps_per_epoch(len(sets.train.labels))
    counted = dry.trace(devices.mesh(jax.devices()[:1])).lower().cost_analysis() or {}
    return Outlook(
        name=stage.name,
        rates=_rates(stage, steps),
        trainable_params=sum(leaf.size for leaf in trainable.values()),
        total_params=sum(leaf.size for leaf in [*trainable.values(), *still.values()]),
        epochs=stage.epochs,
        steps=steps,
        images=steps * stage.batch_size,
        step_flops=float(counted.get("flops", math.nan)),
    )


def _rates(stage: Stage, steps: int) -> dict[str, float | None]:
    multipliers = rules_lib.multipliers(stage.rules)
    if stage.lr == "find":
        return dict.fromkeys(multipliers)
    rate = hyperparameters(stage, steps=steps)["lr"]
    peak = max(rate(at) for at in range(steps))
    return {pattern: multiplier * peak for pattern, multiplier in multipliers.items()}


def planned(stage: Stage, network: Network, *, classes: int, size: int) -> Dry:
    """The stage on `size` x `size` photographs as shapes, from the layer it starts at; a frozen prefix has run."""
    images = jax.ShapeDtypeStruct((stage.batch_size, size, size, 3), jnp.float32)
    variables = jax.eval_shape(build.classifier(network, classes=classes).init, jax.random.key(0), images)
    frozen = rules_lib.frozen_layers(variables["params"], stage.rules)
    module = build.classifier(network, classes=classes, frozen=frozen)
    if (stop := rung.prefix_stop(stage, module, variables["params"])) is None:
        return Dry(stage, module, variables, images)
    base = {"params": variables["params"]["base"]}
    x = jax.eval_shape(lambda tree, x: module.base.apply(tree, x, stop=stop)[0], base, images)
    return Dry(stage, module, variables, x, start=vgg.following(stop))
