"""What a plan will do, told before it runs and without computing anything."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from tljax.config import Plan, Stage
from tljax.data import ImageSets
from tljax.models import build, ops, vgg
from tljax.models.build import Network
from tljax.optim import rules as rules_lib
from tljax.optim import transform
from tljax.train import rung, step
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
    size, classes = sets.train.images.shape[1], len(sets.classes)
    images = jax.ShapeDtypeStruct((stage.batch_size, size, size, 3), jnp.float32)
    bare = build.classifier(network, classes=classes)
    variables = jax.eval_shape(bare.init, jax.random.key(0), images)
    frozen = rules_lib.frozen_layers(variables["params"], stage.rules)
    module = build.classifier(network, classes=classes, frozen=frozen)
    trainable, still = rules_lib.split(variables["params"], stage.rules)
    steps = stage.epochs * stage.steps_per_epoch(len(sets.train.labels))
    return Outlook(
        name=stage.name,
        rates=_rates(stage, steps),
        trainable_params=sum(leaf.size for leaf in trainable.values()),
        total_params=sum(leaf.size for leaf in [*trainable.values(), *still.values()]),
        epochs=stage.epochs,
        steps=steps,
        images=steps * stage.batch_size,
        step_flops=_flops(stage, module, variables, images),
    )


def _rates(stage: Stage, steps: int) -> dict[str, float | None]:
    multipliers = rules_lib.multipliers(stage.rules)
    if stage.lr == "find":
        return dict.fromkeys(multipliers)
    rate = hyperparameters(stage, steps=steps)["lr"]
    peak = max(rate(at) for at in range(steps))
    return {pattern: multiplier * peak for pattern, multiplier in multipliers.items()}


def _flops(stage: Stage, module: Any, variables: dict[str, Any], images: jax.ShapeDtypeStruct) -> float:
    """Of the step alone: augmentation, and a prefix that has run before, are not counted."""
    params, x, start = variables["params"], images, None
    if (stop := rung.prefix_stop(stage, module, params)) is not None:
        start = vgg.following(stop)
        x = jax.eval_shape(lambda p, i: module.base.apply({"params": p}, i, stop=stop)[0], params["base"], images)

    def apply(variables: Any, x: Any, **options: Any) -> Any:
        return module.apply(variables, x, **options, **({} if start is None else {"start": start}))

    tx = transform.make(stage.optimizer, stage.rules, rules_lib.flatten(params))
    train_step = step.make_train_step(apply=apply, tx=tx, rules=stage.rules, ema=stage.ema)

    def first(variables: Any, x: Any) -> Any:
        model_state = {name: tree for name, tree in variables.items() if name != "params"}
        options = {"model_state": model_state, "tx": tx, "rules": stage.rules, "ema": stage.ema}
        state = step.init_state(variables["params"], **options)
        n = stage.batch_size
        batch = {"image": x, "label": jnp.zeros(n, jnp.int32), "key": jax.random.split(jax.random.key(0), n)}
        hyper = {name: jnp.float32(0) for name in ("lr", "dropout", "momentum", "weight_decay")}
        return train_step(state, batch, hyper)

    return float((ops.jit(first).lower(variables, x).cost_analysis() or {}).get("flops", float("nan")))
