"""Find how many augmented views a cached prefix needs, on rungs 3 and 4.

    python -m experiments.views --data folder:PHOTOS --size 32 --weights base.safetensors --seeds 3

Runs 1, 2, 4, ... views, and fresh ones. Writes views.png: validation accuracy against the number of
views. On 900 images of CIFAR cats and dogs, 16 views and more reach the same figures as fresh
augmentation (67.7 and 68.3 %, means of 3 seeds); 11 minutes on one core.
"""

import argparse
from dataclasses import replace

from tljax.climb import ladder
from tljax.commands import options, runner, running
from tljax.config import Stage
from tljax.machine import processes
from tljax.models.build import Network
from tljax.report.pictures.series import write_series
from tljax.runs.results import read_results

COUNTS = (1, 2, 4, 8, 16, 32, 64, None)  # None: fresh augmentation at every step
RUNGS = ("frozen", "finetune")


def main() -> None:
    """Run the command."""
    args = options.parsed(options.parser(__doc__, experiment="views"))
    args.views = None  # the preset's views are replaced below
    variants = {count: _stages(count, args) for count in COUNTS}
    named = {pair[1].name: pair for stages in variants.values() for pair in stages.values()}
    with runner.begin(args, named, experiment="views") as (workdir, source, _):
        for stages in variants.values():
            ladder(stages, source, seeds=options.seeds_of(args), workdir=workdir)
        runner.finish(workdir, source.sets, quiet=args.quiet)
        if not processes.first():
            return
        results = read_results(workdir.path / "results.json")
        lines = {
            rung: {str(count or "fresh"): _name(rung, count) for count in COUNTS} for rung in RUNGS
        }
        title, setting = "Views of a cached prefix", "augmented views of each photograph"
        print(
            write_series(
                results, lines, title=title, setting=setting, path=workdir.path / "views.png"
            )
        )


def _stages(count: int | None, args: argparse.Namespace) -> dict[str, tuple[Network, Stage]]:
    """Make the rungs with `count` views, each with a name of its own."""
    stages = {}
    for rung in RUNGS:
        stage = replace(options.stage_of(rung, args), name=_name(rung, count), views=count)
        stages[rung] = (options.network_of(rung, args), stage)
    return stages


def _name(rung: str, count: int | None) -> str:
    return f"{rung}, fresh" if count is None else f"{rung}, {count} view{'s' * (count > 1)}"


if __name__ == "__main__":
    running.run(main)
