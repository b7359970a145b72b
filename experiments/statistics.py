"""Hold batch statistics of frozen layers, or let them move: what is it worth?

    python -m experiments.statistics --data folder:PHOTOS --weights efficientnet-lite0 --seeds 3

Trains frozen and finetune twice, with the same fresh augmentation: with the statistics of frozen
layers held, as every rung does, and with those of the batch, which then also move the saved ones.
The answer is in docs/results.md.
"""

import argparse
from dataclasses import replace
from typing import Literal

from tljax.climb import ladder
from tljax.commands import options, runner, running
from tljax.config import Stage
from tljax.errors import InputError
from tljax.models.build import Network

WAYS: tuple[Literal["held", "moving"], ...] = ("held", "moving")
RUNGS = ("frozen", "finetune")


def main() -> None:
    """Run the command."""
    args = options.parsed(options.parser(__doc__, experiment="statistics"))
    weights = options.base_of(args)
    if weights is None or not weights.statistics:
        raise InputError("--weights: expected a base with batch statistics, found none")
    stages = {name: pair for way in WAYS for name, pair in _stages(way, args).items()}
    with runner.begin(args, stages, experiment="statistics") as (workdir, source, stages):
        below = {_name("finetune", way): _name("frozen", way) for way in WAYS}
        ladder(stages, source, seeds=options.seeds_of(args), workdir=workdir, starts_from=below)
        runner.finish(workdir, source.sets, quiet=args.quiet)


def _stages(
    way: Literal["held", "moving"], args: argparse.Namespace
) -> dict[str, tuple[Network, Stage]]:
    return {
        _name(rung, way): (
            options.network_of(rung, args),
            replace(
                options.stage_of(rung, args), name=_name(rung, way), views=None, statistics=way
            ),
        )
        for rung in RUNGS
    }


def _name(rung: str, way: str) -> str:
    return f"{rung}, {way}"


if __name__ == "__main__":
    running.run(main)
