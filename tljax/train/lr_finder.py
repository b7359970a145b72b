"""The learning-rate range test: train a little while the rate climbs.

Smith 2015, arXiv 1506.01186, section 3.3.
"""

# pyright: strict

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jax.sharding import Mesh

from tljax import waiting
from tljax.config import Stage
from tljax.errors import InputError
from tljax.machine import devices, in_turn
from tljax.optim.schedules import Sweep
from tljax.train.lr_suggestions import smooth, suggestions
from tljax.train.program import start
from tljax.train.ready import Ready
from tljax.train.segments import make_program, segments

SWEEP = Sweep(1e-7, 10.0)  # fastai's, and its number of steps and end
STEPS = 100
DIVERGED = 4.0  # times the best smoothed loss
LEARNT = 0.01  # nats an image: below it there is nothing left to learn


@dataclass(frozen=True, eq=False, repr=False)
class Finding:
    """Hold a range test, up to the step at which it ended: `[S]` float64 each.

    `rates` are the stage's, before its rules' multipliers; `losses` the means over each batch;
    `suggestions` rates by name, none after fewer than two steps or where the loss does not fall by
    more than its noise.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestions: dict[str, float]

    def __repr__(self) -> str:
        named = ", ".join(f"{name} {rate:.1e}" for name, rate in self.suggestions.items())
        return f"Finding({len(self.losses)} steps; {named or 'no rate suggested'})"

    def to_dict(self) -> dict[str, dict[str, float] | list[float]]:
        """Return the suggestions and the three series as plain JSON."""
        lists = {name: getattr(self, name).tolist() for name in ("rates", "losses", "smoothed")}
        return {"suggestions": self.suggestions, **lists}


def find(
    stage: Stage,
    ready: Ready,
    *,
    seed: int,
    over: Mesh | None = None,
    sweep: Sweep = SWEEP,
    steps: int = STEPS,
    progress: bool = False,
) -> Finding:
    """Train a copy of `ready.variables` for `steps` steps at the rates of `sweep`.

    `ready` is not changed. Everything else is the stage's: rules with their ratios between layer
    groups, optimizer, batches in the order of `seed`; its other schedules run over the sweep. It
    ends early where the loss is not finite or the smoothed one is 4 times the best so far.
    """
    over = devices.mesh_for(stage.batch_size) if over is None else over
    devices.check_batch(stage.batch_size, over)
    swept = replace(of_steps(stage, steps), lr=sweep, skip_nonfinite=False)
    losses: list[float] = []
    smoothed: list[float] = []
    with waiting.bar(steps, f"{stage.name}: range test", unit="steps", shown=progress) as bar:
        for loss, average in smooth(_losses(swept, ready, seed=seed, over=over)):
            if not math.isfinite(loss):
                break
            losses.append(loss)
            smoothed.append(average)
            bar.update()
            if average > DIVERGED * min(smoothed):
                break
    rate = sweep(steps)
    rates = np.array([rate(step) for step in range(len(losses))])
    raw, averages = np.array(losses), np.array(smoothed)
    return Finding(rates, raw, averages, suggestions(rates, averages, steps=steps, losses=raw))


def of_steps(stage: Stage, steps: int = STEPS) -> Stage:
    """Cut a stage to the steps of a range test: made ready, it has the views of those alone."""
    return replace(stage, epochs=1, images_per_epoch=steps * stage.batch_size)


def valley(stage: Stage, finding: Finding) -> float:
    """Return the rate that `lr="find"` stands for, from the stage's range test.

    InputError, with what to do, where the test suggests none.
    """
    if "valley" not in finding.suggestions:
        raise InputError(f"stage {stage.name!r}: no rate to be found: {why_none(finding)}")
    return finding.suggestions["valley"]


def why_none(finding: Finding) -> str:
    """Say why a range test suggests no rate, and what to do."""
    if len(finding.losses) < 2:
        return "the loss is not finite at the lowest rates; look at the data and the base"
    first, low = finding.smoothed[0], finding.smoothed.min()
    learnt = "has learnt its data already" if first < LEARNT else "does not fall"
    return (
        f"the loss {learnt} (smoothed from {first:.2g} to {low:.2g}, no more than its noise); "
        "give a rate with lr, or test more steps of a network with a new head"
    )


def _losses(stage: Stage, ready: Ready, *, seed: int, over: Mesh) -> Iterator[float]:
    """Train and yield the mean loss of each step, a segment at a time.

    Training stops when the caller stops asking for losses.
    """
    state, train_step, _ = start(stage, ready, over)
    program = in_turn.of(make_program(train_step, ready, over))
    for segment in segments(stage, ready, seed=seed, over=over):
        state, metrics = program(state, *segment.arguments)
        yield from (np.asarray(metrics["loss"], np.float64) / np.asarray(metrics["count"])).tolist()
