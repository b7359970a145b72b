"""Train a plan of several stages, after its table and its schedules.

    tljax recipe --plan full --weights base.safetensors --seeds 3

Plans: full (head, block 5, everything at differential rates, each under 1-cycle), fine_tune
(fastai's lengths, rates relative to each leaf's norm), gradual (one block more in each stage). With
VGG16's ImageNet weights full ends at 97.7 % of the lecture's cats and dogs (96.4 to 98.9 % over 3
seeds).
"""

import argparse
from dataclasses import replace
from itertools import pairwise

from tljax import config, recipe
from tljax.commands import options, runner
from tljax.commands.climb import climbing
from tljax.commands.climb.rung import MASKS
from tljax.config import Plan
from tljax.machine import processes
from tljax.machine.hushed import hushed
from tljax.report.pictures.schedules import write_schedules
from tljax.runs.planned import read_planned

GRADUAL = replace(config.PRESETS["tuned"]["frozen"], epochs=3)
PLANS = ("fine_tune", "full", "gradual")


def main() -> None:
    """Run the command."""
    parser = options.parser(__doc__, experiment="recipe")
    parser.add_argument("--plan", choices=PLANS, default="full", help="which one (full)")
    args = options.parsed(parser)
    plan = _plan(args)
    network = options.network_on("", recipe.NETWORK, args)
    stages = {stage.name: (network, stage) for stage in plan.stages}
    with (
        hushed(args.quiet),
        runner.begin(args, stages, experiment="recipe") as (workdir, source, stages),
    ):
        if processes.first():
            print(write_schedules(read_planned(workdir.path), workdir=workdir.path), flush=True)
        names = list(stages)
        climbing.climb_ladder(
            stages,
            source,
            seeds=options.seeds_of(args),
            workdir=workdir,
            starts_from=dict(pairwise(reversed(names))),
            carry=True,
        )
    runner.finish(workdir, source.sets, quiet=args.quiet)


def plan_of(name: str, base: str) -> Plan:
    """Return a plan by name, for the layers of a base."""
    if name == "full":
        return recipe.full_recipe(base=base)
    if name == "fine_tune":
        return recipe.fine_tuning(epochs=10, freeze_epochs=2, base=base)
    return recipe.gradual_unfreezing(GRADUAL, base=base)


def _plan(args: argparse.Namespace) -> Plan:
    plan = plan_of(args.plan, options.architecture_of(args)[0])
    masks = args.preset == MASKS
    stages = [config.on_masks(stage) if masks else stage for stage in plan.stages]
    stages = [options.with_options(stage, args) for stage in stages]
    if args.views is not None:
        stages = [
            replace(stage, views=args.views or None) if stage.views else stage for stage in stages
        ]
    return replace(plan, stages=tuple(stages))
