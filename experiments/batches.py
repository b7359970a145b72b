"""Where a larger batch stops fitting the recipe: a rung at 32, 64, ... images a step, the same number drawn in all.

    python -m experiments.batches --data folder:PHOTOS --size 32 --weights base.safetensors --seeds 3

Each batch with the rung's rates as they are, and by the linear rule with a warm-up (`recipe.scaled_batch`). A step's
result does not depend on the number of devices, so this is what N devices with 32 images each would reach. Leaves
batches.png: validation accuracy against the batch.
"""

import argparse
from dataclasses import replace

from tljax.commands import cli, climbing, runner
from tljax.config import Stage
from tljax.machine import processes
from tljax.models.build import Network
from tljax.recipe import scaled_batch
from tljax.report.pictures.series import write_series
from tljax.runs.results import read_results

BATCHES = (32, 64, 128, 256, 512, 1024)
LINES = ("rate as it is", "linear rule")


def main() -> None:
    """The command."""
    parser = runner.parser(__doc__, experiment="batches")
    parser.add_argument("--rung", choices=("features", "frozen"), default="frozen", help="which rung (frozen)")
    args = runner.parsed(parser)
    args.batch, args.scale_lr = None, False  # that is what varies
    variants = {_name(line, batch): _variant(args, line=line, batch=batch) for line in LINES for batch in BATCHES}
    workdir, sets, weights, variants = runner.begin(args, variants, experiment="batches")
    options = runner.climbing_options(args, weights)
    climbing.climb(variants, sets, workdir=workdir, progress=not args.quiet, **options)
    runner.finish(workdir, sets)
    if not processes.first():
        return
    results = read_results(workdir.path / "results.json")
    lines = {line: {str(batch): _name(line, batch) for batch in BATCHES} for line in LINES}
    told = {"title": f"The batch, on rung {args.rung}", "setting": "images a step, as many drawn in all"}
    print(write_series(results, lines, **told, path=workdir.path / "batches.png"))


def _variant(args: argparse.Namespace, *, line: str, batch: int) -> tuple[Network, Stage]:
    stage = runner.stage_of(args.rung, args)
    stage = scaled_batch(stage, batch) if line == "linear rule" else replace(stage, batch_size=batch)
    return runner.network_of(args.rung, args), replace(stage, name=_name(line, batch))


def _name(line: str, batch: int) -> str:
    return f"{batch}, {line}"


if __name__ == "__main__":
    cli.run(main)
