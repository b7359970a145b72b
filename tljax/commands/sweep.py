"""Train a rung with many seeds and hyperparameters, in one program: on CPU a head on features.

    tljax sweep --rung features --data folder:PHOTOS --size 32 --weights base.safetensors \\
        --seeds 32 --lr 3e-5 1e-4 3e-4 1e-3 3e-3 1e-2 3e-2 1e-1

Leaves sweep.json (every run) and sweep.png. What a call of at most --most runs found is kept as it
ends: --resume trains the runs that are missing, because the sweep was stopped or because --seeds is
larger now.

What is best of many on the validation set looks better there than it is: train it again with other
seeds, or report it on a test split.
"""

import argparse
import json
import math
import time
from pathlib import Path

from tljax import config
from tljax.commands import cli, options, runner
from tljax.commands.climb.refusals import Outlines
from tljax.data.examples import Sets
from tljax.errors import InputError
from tljax.files import disk
from tljax.machine import processes
from tljax.machine.hushed import hushed
from tljax.machine.provenance import environment
from tljax.optim import rules as rules_lib
from tljax.report.pictures.sweep import Point, sweep_table, write_sweep
from tljax.report.stats import intervals
from tljax.sweep import heads_of_seeds, sweep
from tljax.sweep.members import SWEPT
from tljax.train import setup

_HELP = {
    "lr": "peak rates to try",
    "dropout": "dropout rates to try",
    "augment_strength": "factors of the ranges of augmentation to try, on a rung without views",
    "momentum": "values to try, for an optimizer that has momentum",
    "weight_decay": "values to try",
}


def main() -> None:
    """Run the command."""
    args = options.parsed(_parser())
    grid = {name: values for name in SWEPT if (values := getattr(args, name))}
    if not grid:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in SWEPT)
        raise InputError(f"sweep: expected values of one or more of {names}")
    stages = {args.rung: (options.network_of(args.rung, args), options.stage_of(args.rung, args))}
    runner.refuse_finished(args, Path("runs/sweep"), "sweep.json")

    def check(sets: Sets, outlines: Outlines) -> None:
        stage, ready = outlines[args.rung]
        if why := sweep.fits_sweep(stage, ready):
            raise InputError(f"sweep: rung {args.rung}: {why}")
        sweep.refuse_values(stage, ready, grid)

    with (
        hushed(args.quiet),
        runner.begin(args, stages, experiment="sweep", check=check) as (workdir, source, stages),
    ):
        network, stage = stages[args.rung]
        ready = setup.prepare(stage, network, source, seed=args.seed)
        seeds = options.seeds_of(args)
        trained, _ = rules_lib.split(ready.variables["params"], stage.rules)
        own = not source.base_of(network) and any(path.startswith("base/") for path in trained)
        draw = heads_of_seeds.networks if own else heads_of_seeds.starts
        started = time.perf_counter()
        result = sweep.sweep(
            stage,
            draw(ready, seeds=seeds, like=source.sets.spec),
            seeds=seeds,
            grid=grid,
            most=args.most,
            kept=runner.kept_calls(workdir, args, network, source),
            tell=lambda line: print(line, flush=True),
        )
    seconds = time.perf_counter() - started
    if processes.first():
        _write(args, workdir.path, source.sets.digest, result, seconds)


def _write(
    args: argparse.Namespace, folder: Path, digest: str, result: sweep.SweepResult, seconds: float
) -> None:
    runs = [
        {
            "seed": run.seed,
            "values": dict(run.values),
            "finite": run.finite,
            "validation": run.history.result()["validation"],
        }
        for run in result.runs
    ]
    document = {
        "arguments": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(args).items()
        },
        "data": digest,
        "environment": environment(),
        "seconds": seconds,
        "runs": runs,
    }
    disk.write_json(folder / "sweep.json", document)
    measure = result.runs[0].history.task.measures[0]
    within = intervals.SHARE if measure.share else intervals.REAL
    points: dict[str, Point] = {}
    for run in runs:
        score = run["validation"][measure.name] if run["finite"] else math.nan
        key = json.dumps(run["values"])
        before = points[key].scores if key in points else ()
        points[key] = Point(run["values"], (*before, score), within)
    print("\n" + sweep_table(list(points.values()), measure))
    print(f"\n{len(runs)} runs, {result.plan.members} of them in these {seconds:.1f} s")
    print(
        write_sweep(
            list(points.values()),
            title=f"A sweep of rung {args.rung}",
            path=folder / "sweep.png",
            measure=measure,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, experiment="sweep", rates=False)
    add = parser.add_argument
    add("--rung", choices=config.STEPPED, default="features", help="which rung (features)")
    for name in SWEPT:
        option = f"--{name.replace('_', '-')}"
        add(option, type=float, nargs="+", metavar="VALUE", help=_HELP[name])
    add(
        "--most",
        type=cli.positive,
        metavar="N",
        help="how many runs one program trains at most (256, on CPU 16)",
    )
    return parser
