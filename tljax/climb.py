"""The ladder: rungs trained in order, each with all seeds, each from the rung that it builds on."""

# pyright: strict

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from tljax import config, waiting
from tljax.config import Stage
from tljax.machine import processes
from tljax.methods import movement
from tljax.models.build import Network
from tljax.runs.workdir import Workdir
from tljax.sweep import sweep
from tljax.train import rung, setup
from tljax.train.history import ignore
from tljax.train.program import Program
from tljax.train.ready import Ready
from tljax.train.rung import Trained
from tljax.train.source import Source
from tljax.train.step import averaged

Stages = Mapping[str, tuple[Network, Stage]]


def ladder(
    stages: Stages,
    source: Source,
    *,
    seeds: Sequence[int],
    workdir: Workdir | None = None,
    starts_from: Mapping[str, str] = config.STARTS_FROM,
    carry: bool = False,
    programs: Mapping[str, Program] | None = None,
    on_rung: Callable[[str, Mapping[int, Trained]], None] = lambda name, trained: None,
) -> dict[int, dict[str, Trained]]:
    """Train the rungs in order with each seed, and return `{seed: {rung: its result}}`.

    A rung starts from the one that `starts_from` names if `stages` has it, else from the base of
    `source`. Seeds share one program where that is faster. In a `workdir` that has begun, each
    rung is saved under the name of its stage; what a run that is resumed left there is restored
    or continued. `carry` keeps the optimizer state of the rung before where the kind of optimizer
    is the same. `programs` are those compiled ahead, by rung. `on_rung` receives each rung that
    ended, with its result for each seed.
    """
    done: dict[int, dict[str, Trained]] = {seed: {} for seed in seeds}
    names = list(stages)
    far: dict[str, dict[str, dict[str, float]]] = {}
    for number, (name, (network, stage)) in enumerate(stages.items()):
        below = starts_from.get(name, "")
        ahead = [stages[later][1] for later in names[number + 1 :]]
        carries = carry and below in stages and _same_optimizer(stages[below][1], stage)
        prepare = partial(setup.prepare, stage, network, source, carry=carries, ahead=ahead)
        before = {seed: done[seed].get(below) for seed in seeds}
        new = [seed for seed in seeds if not _begun(stage, seed, workdir)]
        together: dict[int, Trained] = {}
        if len(seeds) > 1 and new and _fits(stage, network, source, seeds=new, carries=carries):
            readies = {seed: prepare(seed=seed, before=before[seed]) for seed in new}
            together = _together(stage, readies, workdir)
        for seed, last in before.items():
            trained = together.get(seed) or _alone(
                stage,
                prepare(seed=seed, before=last),
                seed=seed,
                workdir=workdir,
                program=(programs or {}).get(name),
                progress=source.progress,
            )
            done[seed][name] = trained
            if workdir:
                workdir.finish(stage.name, trained, seed=seed, stage=stage, sets=source.sets)
                if base := source.base_of(network):
                    layers = (m for cut in trained.network.architecture.cuts for m in cut.modules)
                    now = averaged(trained.state)["base"]
                    moved = movement.moved(now, base.params, order=layers)
                    far.setdefault(stage.name, {})[str(seed)] = moved
                    workdir.note("moved", far)
        on_rung(name, {seed: done[seed][name] for seed in seeds})
    return done


def _alone(
    stage: Stage,
    ready: Ready,
    *,
    seed: int,
    workdir: Workdir | None,
    program: Program | None,
    progress: bool,
) -> Trained:
    """Train one seed, or restore or continue it."""
    slot = workdir.slot(stage.name, seed=seed) if workdir else None
    if workdir and slot and stage.solver != "steps" and slot.finished is None:
        workdir.forget(stage.name, seed=seed)  # a run may have been killed before it was finished
    return rung.run(
        stage,
        ready,
        seed=seed,
        slot=slot,
        program=program,
        on_epoch=(lambda record, state: workdir.log(record)) if workdir else ignore,
        progress=progress,
    )


def _together(
    stage: Stage, readies: dict[int, Ready], workdir: Workdir | None
) -> dict[int, Trained]:
    """Train the seeds of `readies` in one program."""
    first = next(iter(readies.values()))
    shared = {seed: _sharing(ready, first) for seed, ready in readies.items()}
    results = sweep.train_seeds(stage, shared, tell=say)
    trained: dict[int, Trained] = {}
    for (seed, ready), (state, history) in zip(shared.items(), results, strict=True):
        if workdir:
            workdir.forget(stage.name, seed=seed)  # a run may have been killed before it finished
            for record in history.epochs:
                workdir.log(record)
        trained[seed] = rung.trained(stage, ready, state, history)
    return trained


def _fits(
    stage: Stage, network: Network, source: Source, *, seeds: Sequence[int], carries: bool
) -> bool:
    """Tell whether seeds are better trained in one program; print why they are not."""
    why = sweep.fits_sweep(stage, setup.outline(stage, network, source))
    if why is None and carries:
        why = "the optimizer goes on from the stage before"
    if why is not None and len(seeds) > 1:
        say(f"{stage.name}: {len(seeds)} seeds one after another: {why}")
    return why is None


def _begun(stage: Stage, seed: int, workdir: Workdir | None) -> bool:
    """Tell whether a run that is resumed has finished this rung, or can continue it alone."""
    return workdir is not None and workdir.slot(stage.name, seed=seed).begun()


def _same_optimizer(one: Stage, other: Stage) -> bool:
    return one.optimizer.name == other.optimizer.name


def _sharing(ready: Ready, first: Ready) -> Ready:
    """Share the activations of the first seed where they are the same: they are held once."""
    own = ready.inputs
    if ready is first or not own.files or own.files != first.inputs.files:
        return ready
    return replace(ready, inputs=replace(first.inputs, made=own.made, seconds=own.seconds))


def say(line: str) -> None:
    """Print a line, in the first process."""
    if processes.first():
        waiting.say(line)
