"""How many augmented views a cached prefix needs: rungs 3 and 4 with 1, 2, 4, ... views, and with fresh ones.

    python -m experiments.views --data folder:PHOTOS --size 32 --weights base.safetensors --seeds 3

Leaves views.png: validation accuracy against the number of views. On 900 images of CIFAR cats and dogs: from 16 on
the same figures as with fresh augmentation (67.7 and 68.3 %, means of 3 seeds); 11 minutes on one core.
"""

import argparse
from dataclasses import replace

from tljax.commands import cli, climbing, runner
from tljax.config import Stage
from tljax.machine import processes
from tljax.models.build import Network
from tljax.report.pictures.series import write_series
from tljax.runs.results import read_results

COUNTS = (1, 2, 4, 8, 16, 32, 64, None)  # None: augmented afresh at every step
RUNGS = ("frozen", "finetune")


def main() -> None:
    """The command."""
    args = runner.parsed(runner.parser(__doc__, experiment="views"))
    args.views = None  # the preset's are replaced below
    variants = {count: _stages(count, args) for count in COUNTS}
    named = {pair[1].name: pair for stages in variants.values() for pair in stages.values()}
    workdir, sets, weights, _ = runner.begin(args, named, experiment="views")
    options = runner.climbing_options(args, weights)
    for stages in variants.values():
        climbing.climb(stages, sets, workdir=workdir, progress=not args.quiet, **options)
    runner.finish(workdir, sets)
    if not processes.first():
        return
    results = read_results(workdir.path / "results.json")
    lines = {rung: {str(count or "fresh"): _name(rung, count) for count in COUNTS} for rung in RUNGS}
    told = {"title": "Views of a cached prefix", "setting": "augmented views of each photograph"}
    print(write_series(results, lines, **told, path=workdir.path / "views.png"))


def _stages(count: int | None, args: argparse.Namespace) -> dict[str, tuple[Network, Stage]]:
    """The rungs with so many views, each under a name of its own."""
    found = {}
    for rung in RUNGS:
        stage = replace(runner.stage_of(rung, args), name=_name(rung, count), views=count)
        found[rung] = (runner.network_of(rung, args), stage)
    return found


def _name(rung: str, count: int | None) -> str:
    return f"{rung}, fresh" if count is None else f"{rung}, {count} view{'s' * (count > 1)}"


if __name__ == "__main__":
    cli.run(main)
