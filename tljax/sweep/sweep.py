"""Many runs of a stage in one compiled program: seeds, and values of its hyperparameters."""

# pyright: strict
# pyright: reportUnknownMemberType=false

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
from jax.sharding import Mesh

from tljax.config import Stage
from tljax.errors import InputError
from tljax.inputs import feed
from tljax.optim import rules as rules_lib
from tljax.optim.schedules import Schedule
from tljax.sweep.finished_calls import Kept
from tljax.sweep.members import Member, stage_at
from tljax.sweep.memory_plan import SweepPlan
from tljax.sweep.program import at_once
from tljax.sweep.run import Run, run_members
from tljax.train import program
from tljax.train.history import History
from tljax.train.loop import train_stage
from tljax.train.outcome import collapse
from tljax.train.ready import Ready
from tljax.train.step import State
from tljax.tree import flatten


@dataclass(frozen=True)
class SweepResult:
    """The runs, by point of the grid and within each by seed, and how they were divided."""

    runs: list[Run]
    plan: SweepPlan

    def at(self, values: Mapping[str, float | Schedule]) -> list[Run]:
        """Return the runs with these hyperparameters."""
        return [run for run in self.runs if dict(run.values) == dict(values)]


def sweep(
    stage: Stage,
    ready: Ready | Callable[[int], Ready],
    *,
    seeds: Sequence[int],
    grid: Mapping[str, Sequence[float | Schedule]] | None = None,
    over: Mesh | None = None,
    most: int | None = None,
    kept: Kept | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> SweepResult:
    """Train the stage with each seed at each point of the grid, by names of `members.SWEPT`.

    Each run equals `loop.train_stage` alone with that seed and `stage_at(stage, values)`. Values
    are traced: there is one program for all. `ready` is what all start from, or a function of the
    seed that gives it (`heads_of_seeds.starts`). Frozen leaves and inputs are shared by all. So are
    cached views, drawn under one seed of their own: a run alone must read the same ones. `over` are
    the devices that the members are split over, all by default. A run that diverges is marked as
    not finite, and disturbs no other. One that collapses is left as it ends: it shows what its rate
    does.

    `tell` receives the plan before anything runs. A call trains at most `most` members, fewer if
    memory is short. The default is 256, but 16 on CPU: members run one after another there, and
    short calls report progress and lose little when interrupted.

    With `kept`, the results of each call are kept on disk as it ends, without states, and a sweep
    that was stopped trains the members that are missing, to the same bits.
    """
    grid = {} if grid is None else grid
    if not seeds or not all(grid.values()):
        raise InputError(
            "sweep: expected a seed or more, and a value or more for each name of the grid"
        )
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    readies = {seed: ready(seed) if callable(ready) else ready for seed in seeds}
    refuse_values(stage, readies[seeds[0]], grid)
    members = [Member(seed, values, readies[seed]) for values in points for seed in seeds]
    return SweepResult(*run_members(stage, members, over=over, most=most, kept=kept, tell=tell))


def refuse_values(
    stage: Stage, ready: Ready, grid: Mapping[str, Sequence[float | Schedule]]
) -> None:
    """Raise InputError for values that a stage cannot take; `ready` may be an outline."""
    if "augment_strength" in grid and ready.inputs.start is not None:
        raise InputError(
            "sweep: the strength of augmentation cannot vary where views are drawn ahead"
        )
    for name, values in grid.items():
        for value in values:
            stage_at(stage, {name: value})


def fits_sweep(stage: Stage, ready: Ready) -> str | None:
    """Say why seeds of this stage are better run one after another; None if one program does.

    On an accelerator whole rungs are mapped, convolutions included. On CPU convolutions with a
    kernel for each seed are slow: eight seeds of the network from scratch took 3.2 times as long in
    one program. Heads save the overhead of a run. The rows `seeds` and `scratch seeds` of
    `tljax benchmark` measure both.
    """
    if stage.solver != "steps":
        return "it is solved, without steps"
    if jax.process_count() > 1:
        return "several processes train together"
    if stage.lr == "find":
        return "each seed finds a rate of its own"
    if stage.patience is not None:
        return "each seed stops at an epoch of its own"
    if stage.skip_nonfinite:
        return "each seed skips steps of its own"
    inputs = ready.inputs
    if not feed.fits(inputs.train.inputs.nbytes + inputs.validation.inputs.nbytes):
        return "its examples do not fit on a device: they are streamed"
    if at_once():
        return None
    leaves = flatten(ready.variables["params"])
    moved = rules_lib.moving(leaves, stage.rules)
    if kernels := [path for path, leaf in leaves.items() if path in moved and leaf.ndim == 4]:
        return f"{kernels[0]} trains: convolutions with a kernel for each seed are slow on CPU"
    return None


def train_seeds(
    stage: Stage,
    readies: Mapping[int, Ready],
    *,
    over: Mesh | None = None,
    most: int | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> list[tuple[State, History]]:
    """Train seeds in one program, each with variables and views of its own.

    Each gives what `loop.train_stage` gives.
    Frozen leaves and unaugmented features, which are equal for all, are held once. InputError names
    a seed whose loss is not finite, as the loop does. One that collapses is trained again by the
    loop, which returns to its best state: the program holds no state of any epoch but the last.
    """
    members = [Member(seed, {}, ready) for seed, ready in readies.items()]
    first = next(iter(readies.values()))
    step_flops = program.flops(stage, first)
    runs, _ = run_members(stage, members, over=over, most=most, tell=tell)
    trained: list[tuple[State, History]] = []
    for run in runs:
        if not run.finite:
            raise InputError(
                f"stage {stage.name!r}: the loss of seed {run.seed} is not finite; lower the rate"
            )
        assert run.state is not None  # nothing was kept on disk
        run.history.step_flops = step_flops
        trained.append(_judged(stage, readies[run.seed], run.seed, run.state, run.history))
    return trained


def _judged(
    stage: Stage, ready: Ready, seed: int, state: State, history: History
) -> tuple[State, History]:
    epochs, chance = history.epochs, collapse.chance(stage, ready.inputs)
    lost = collapse.judged(epochs, epochs[-1], chance, stage=stage, back_to=None)
    if lost and stage.keep_going:
        history.collapsed = lost
        collapse.say(lost, stage=stage.name, seed=seed)
    elif lost or any(collapse.hopeless(epochs[:end], chance) for end in range(1, len(epochs))):
        return train_stage(stage, ready, seed=seed, progress=False)
    return state, history


__all__ = [
    "Kept",
    "Run",
    "SweepResult",
    "fits_sweep",
    "refuse_values",
    "stage_at",
    "sweep",
    "train_seeds",
]
