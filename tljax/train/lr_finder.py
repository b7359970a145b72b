"""The learning-rate range test: train a little while the rate climbs.

Smith 2015, arXiv 1506.01186, section 3.3.
"""

# pyright: strict

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from tljax.config import Stage
from tljax.errors import InputError
from tljax.machine import devices
from tljax.optim.schedules import Sweep
from tljax.train.lr_suggestions import suggestions
from tljax.train.program import start
from tljax.train.ready import Ready
from tljax.train.segments import make_program, segments

SWEEP = Sweep(1e-7, 10.0)  # fastai's, and its number of steps, smoothing and end
STEPS = 100
BETA = 0.98  # of the smoothed loss
DIVERGED = 4.0  # times the best smoothed loss


@dataclass(frozen=True, eq=False)
class Finding:
    """Hold a range test, up to the step at which it ended: `[S]` float64 each.

    `rates` are the stage's, before its rules' multipliers; `losses` the means over each batch;
    `suggestions` rates by name, none after fewer than two steps.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestions: dict[str, float]

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
    swept = replace(
        stage, lr=sweep, epochs=1, images_per_epoch=steps * stage.batch_size, skip_nonfinite=False
    )
    losses: list[float] = []
    smoothed: list[float] = []
    with tqdm(total=steps, desc=f"{stage.name}: rates", unit="step", disable=not progress) as bar:
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
    averages = np.array(smoothed)
    return Finding(rates, np.array(losses), averages, suggestions(rates, averages, steps=steps))


def valley(stage: Stage, finding: Finding) -> float:
    """Return the rate that `lr="find"` stands for, from the stage's range test.

    InputError where the test suggests none.
    """
    if "valley" not in finding.suggestions:
        raise InputError(
            f"stage {stage.name!r}: the loss is not finite at the lowest rates: no rate to be found"
        )
    return finding.suggestions["valley"]


def smooth(losses: Iterable[float], *, beta: float = BETA) -> Iterator[tuple[float, float]]:
    """Pair each loss with the exponential moving average so far, divided by its weight.

    The weight after n losses is `1 - beta ** n` (arXiv 1412.6980, section 3).
    """
    average = 0.0
    for n, loss in enumerate(losses, start=1):
        average = beta * average + (1 - beta) * loss
        yield loss, average / (1 - beta**n)


def _losses(stage: Stage, ready: Ready, *, seed: int, over: Mesh) -> Iterator[float]:
    """Train and yield the mean loss of each step, a segment at a time.

    Training stops when the caller stops asking for losses.
    """
    state, train_step, _ = start(stage, ready, over)
    program = make_program(train_step, ready, over)
    for segment in segments(stage, ready, seed=seed, over=over):
        state, metrics = program(state, *segment.arguments)
        yield from (np.asarray(metrics["loss"], np.float64) / np.asarray(metrics["count"])).tolist()
