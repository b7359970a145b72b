"""Find where a larger batch stops fitting the recipe: a rung at 32, 64, ... images a step.

    python -m experiments.batches --data folder:PHOTOS --size 32 --weights FILE --seeds 3

All draw the same number of images in total. Each batch runs with the rung's rates as they are, and
by the linear rule with a warm-up (`recipe.scaled_batch`). A step's result does not depend on the
number of devices, so this is what N devices with 32 images each would reach. Writes batches.png:
validation accuracy against the batch.
"""

import argparse
from dataclasses import replace

from tljax.climb import ladder
from tljax.commands import options, runner, running
from tljax.config import Stage
from tljax.machine import processes
from tljax.models.build import Network
from tljax.recipe import scaled_batch
from tljax.report.pictures.series import write_series
from tljax.runs.results import read_results

BATCHES = (32, 64, 128, 256, 512, 1024)
LINES = ("rate as it is", "linear rule")


def main() -> None:
    """Run the command."""
    parser = options.parser(__doc__, experiment="batches")
    parser.add_argument(
        "--rung", choices=("features", "frozen"), default="frozen", help="which rung (frozen)"
    )
    args = options.parsed(parser)
    args.batch, args.scale_lr = None, False  # these vary
    variants = {
        _name(line, batch): _variant(args, line=line, batch=batch)
        for line in LINES
        for batch in BATCHES
    }
    with runner.begin(args, variants, experiment="batches") as (workdir, source, variants):
        ladder(variants, source, seeds=options.seeds_of(args), workdir=workdir)
        runner.finish(workdir, source.sets, quiet=args.quiet)
        if not processes.first():
            return
        results = read_results(workdir.path / "results.json")
        lines = {line: {str(batch): _name(line, batch) for batch in BATCHES} for line in LINES}
        title, setting = f"The batch, on rung {args.rung}", "images a step, as many drawn in all"
        print(
            write_series(
                results, lines, title=title, setting=setting, path=workdir.path / "batches.png"
            )
        )


def _variant(args: argparse.Namespace, *, line: str, batch: int) -> tuple[Network, Stage]:
    stage = options.stage_of(args.rung, args)
    stage = (
        scaled_batch(stage, batch) if line == "linear rule" else replace(stage, batch_size=batch)
    )
    return options.network_of(args.rung, args), replace(stage, name=_name(line, batch))


def _name(line: str, batch: int) -> str:
    return f"{batch}, {line}"


if __name__ == "__main__":
    running.run(main)
