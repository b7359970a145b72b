"""Head first, then the base (LP-FT): against the head alone, and against both at once.

    python -m experiments.lp_ft --data folder:PHOTOS --weights vgg16.h5 --seeds 3

Kumar et al. 2022, arXiv 2202.10054. "frozen" trains the head alone (LP), "finetune" goes on from it
(LP-FT), and "fresh" trains the same layers from a fresh head (FT), on as many images as both
together. `tljax shifted --run DIR` then judges all three on shifted photographs. The answer is in
docs/howto/generalise.md.
"""

from dataclasses import replace

from tljax.climb import ladder
from tljax.commands import options, runner, running


def main() -> None:
    """Run the command."""
    args = options.parsed(options.parser(__doc__, experiment="lp_ft"))
    stages = {
        rung: (options.network_of(rung, args), options.stage_of(rung, args))
        for rung in ("frozen", "finetune")
    }
    network, stage = stages["finetune"]
    both = sum(stage.epochs for _, stage in stages.values())
    stages["fresh"] = (network, replace(stage, name="fresh", epochs=both))
    with runner.begin(args, stages, experiment="lp_ft") as (workdir, source, stages):
        ladder(stages, source, seeds=options.seeds_of(args), workdir=workdir)
        runner.finish(workdir, source.sets, quiet=args.quiet)


if __name__ == "__main__":
    running.run(main)
