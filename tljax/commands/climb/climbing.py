"""Climb the ladder from a command: compile, say what each rung will do and cost, and train."""

from collections.abc import Mapping, Sequence

from tljax import climb, waiting
from tljax.audit.forecast import outlook
from tljax.climb import Stages
from tljax.commands.climb.watch import Watch, work_of
from tljax.config import Stage
from tljax.report.tables.plan import plan_table
from tljax.runs.workdir import Workdir
from tljax.sweep import sweep
from tljax.train import setup
from tljax.train.program import Program, ahead
from tljax.train.ready import Ready
from tljax.train.source import Source

FIRST = "features"  # of a ladder: seconds, and most of the accuracy


def climb_ladder(
    stages: Stages,
    source: Source,
    *,
    seeds: Sequence[int],
    workdir: Workdir,
    starts_from: Mapping[str, str],
    carry: bool = False,
) -> None:
    """Train the rungs with all seeds, after their table; a rung on saved features comes first."""
    programs, watch = compile_ahead(stages, source, seeds=seeds, workdir=workdir)
    climb.ladder(
        {name: stages[name] for name in watch.work},
        source,
        seeds=seeds,
        workdir=workdir,
        starts_from=starts_from,
        carry=carry,
        programs=programs,
        on_rung=watch,
    )


def compile_ahead(
    stages: Stages, source: Source, *, seeds: Sequence[int], workdir: Workdir
) -> tuple[Mapping[str, Program], Watch]:
    """Compile stages that run one seed at a time; print what each will do and cost.

    They are compiled in the order in which they train: on an accelerator the later ones still are
    as the first one begins.
    """
    order = sorted(stages, key=lambda name: name != FIRST)
    outlines: dict[str, tuple[Stage, Ready]] = {
        name: (stage, setup.outline(stage, network, source))
        for name, (network, stage) in stages.items()
    }
    alone = {
        name: outlines[name]
        for name in order
        if outlines[name][0].solver == "steps"
        and (len(seeds) == 1 or sweep.fits_sweep(*outlines[name]) is not None)
    }
    with waiting.bar(len(alone), "compile", unit="stages", shown=source.progress) as bar:

        def tell(name: str, done: int) -> None:
            bar.update(done - bar.n)

        programs = ahead(alone, tell=tell)
    looks = outlook(outlines, programs)
    waiting.say(plan_table(looks, task=source.sets.task))
    work = work_of(looks, stages, source.sets)
    return programs, Watch({name: len(seeds) * work[name] for name in order}, workdir.path)
