"""Before a command climbs the ladder: compile the rungs, and print what each will do and cost."""

from collections.abc import Mapping, Sequence

from tljax import climb
from tljax.audit.forecast import outlook
from tljax.climb import Stages
from tljax.config import Stage
from tljax.report.tables.plan import plan_table
from tljax.sweep import sweep
from tljax.train import setup
from tljax.train.program import Program, ahead
from tljax.train.ready import Ready
from tljax.train.source import Source


def compile_ahead(stages: Stages, source: Source, *, seeds: Sequence[int]) -> Mapping[str, Program]:
    """Compile stages that run one seed at a time; print what each will do and cost.

    On an accelerator they are still being compiled as the first one begins to train.
    """
    outlines: dict[str, tuple[Stage, Ready]] = {
        name: (stage, setup.outline(stage, network, source))
        for name, (network, stage) in stages.items()
    }
    stepped = {name: pair for name, pair in outlines.items() if pair[0].solver == "steps"}
    alone = {
        name: (stage, ready)
        for name, (stage, ready) in stepped.items()
        if len(seeds) == 1 or sweep.fits_sweep(stage, ready) is not None
    }
    programs = ahead(alone)
    climb.say(plan_table(outlook(outlines, programs)))
    return programs
