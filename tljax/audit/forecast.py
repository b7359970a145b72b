"""Forecast what stages will do and cost, before they run and without computing anything."""

# pyright: strict

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tljax.config import Stage
from tljax.inputs import feed
from tljax.machine import devices
from tljax.optim import rules as rules_lib
from tljax.train.program import Program, at_hand, flops, traced_flops
from tljax.train.ready import Ready
from tljax.train.segments import hyperparameters


@dataclass(frozen=True)
class Outlook:
    """Describe what a stage will do.

    `rates` are the highest of each rule that trains; None where a range test decides. A stage that
    is solved has no steps, images or rates. Figures of the compiler are NaN where the stage has not
    been compiled yet.
    """

    name: str
    rates: dict[str, float | None]
    trainable_params: int
    total_params: int
    epochs: int
    steps: int
    images: int  # drawn in all
    step_flops: float  # of the products of one step, by formula
    temporary: float  # bytes on a device while a step runs, in addition to state and data
    compile_seconds: float
    data: int  # bytes of what it trains from
    place: feed.Place


def outlook(
    stages: Mapping[str, tuple[Stage, Ready]], programs: Mapping[str, Program]
) -> list[Outlook]:
    """Forecast each stage from its outline (`setup.outline`).

    `programs` are those of `program.ahead`, by the stage's name; none is waited for.
    """
    return [_outlook(name, *pair, programs) for name, pair in stages.items()]


def _outlook(name: str, stage: Stage, ready: Ready, programs: Mapping[str, Program]) -> Outlook:
    program, work = at_hand(programs, name), traced_flops(programs, name)
    trainable, still = rules_lib.split(ready.variables["params"], stage.rules)
    train = ready.inputs.train
    solved = stage.solver != "steps"
    steps = 0 if solved else stage.epochs * stage.steps_per_epoch(len(train))
    return Outlook(
        name=stage.name,
        rates=_rates(stage, steps),
        trainable_params=sum(leaf.size for leaf in trainable.values()),
        total_params=sum(leaf.size for leaf in [*trainable.values(), *still.values()]),
        epochs=stage.epochs,
        steps=steps,
        images=steps * stage.batch_size,
        step_flops=math.nan if solved else work or flops(stage, ready),
        temporary=program.temporary if program else math.nan,
        compile_seconds=program.seconds if program else math.nan,
        data=train.inputs.nbytes,
        place=feed.place(train.inputs, devices.mesh_for(stage.batch_size)),
    )


def _rates(stage: Stage, steps: int) -> dict[str, float | None]:
    multipliers = rules_lib.multipliers(stage.rules)
    if stage.lr == "find" or not steps:
        return dict.fromkeys(multipliers)
    rate = hyperparameters(stage, steps=steps)["lr"]
    peak = max(rate(step) for step in range(steps))
    return {pattern: multiplier * peak for pattern, multiplier in multipliers.items()}
