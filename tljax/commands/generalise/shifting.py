"""Load a run, and judge its classifiers on shifted photographs: what several commands share."""

import argparse
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from tljax import config
from tljax.commands import cli
from tljax.commands import options as settings
from tljax.commands.generalise import conditions
from tljax.commands.generalise.conditions import Shifts
from tljax.commands.inside import data_of
from tljax.config import Stage
from tljax.data import photos
from tljax.errors import InputError
from tljax.files import disk
from tljax.methods.judge import Judge
from tljax.report.stats.shifts import Judged
from tljax.runs.predict import load_run
from tljax.runs.results import by_rung, read_json, read_results
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.known import of_results
from tljax.train.outcome.trained import Trained
from tljax.train.source import Source
from tljax.tree import Json


def run_options(parser: argparse.ArgumentParser) -> None:
    """Add the run that is judged, and what becomes of the command's document that lies there."""
    add = parser.add_argument
    parser.set_defaults(document=f"{parser.prog.split()[-1].replace('-', '_')}.json")
    add("--run", type=cli.path, required=True, metavar="DIR", help="the workdir of a run")
    add("--quiet", action="store_true", help="print the result and what is wrong, nothing else")
    add("--overwrite", action="store_true", help="replace what this command left there before")
    cli.base_option(parser)
    conditions.options(parser)


def photographs(args: argparse.Namespace) -> Shifts:
    """Load the photographs that a run was judged on, to be shifted.

    InputError for a run of another task than classes of photographs, and for one where the command
    has left its document before, unless that is to be replaced.
    """
    if (args.run / args.document).exists() and not args.overwrite:
        raise InputError(
            f"{args.run / args.document} is there; rename it and its picture, or pass --overwrite"
        )
    where, results = args.run / "config.json", read_results(args.run / "results.json")
    task = of_results(results)
    if task != CLASSIFICATION:
        raise InputError(f"{args.run}: expected a run on classes of photographs, found {task.name}")
    size, document = results["data"]["size"], read_json(where)
    sets = data_of(document, size=size, where=where, progress=not args.quiet)
    reading = argparse.Namespace(**{**vars(_arguments(document)), "quiet": args.quiet})
    return Shifts(args, sets, reading)


def _arguments(document: Json) -> argparse.Namespace:
    """Read the arguments of a run; those that an earlier version did not have are the defaults."""
    defaults = vars(settings.parser(None, experiment="shifted").parse_args([]))
    as_parsed = {
        name: tuple(value) if isinstance(defaults.get(name), tuple) else value  # JSON has lists
        for name, value in document["arguments"].items()
    }
    return argparse.Namespace(**{**defaults, **as_parsed})


def trained(run: Path) -> dict[str, list[Json]]:
    """Read the rows of a run's rungs, by name; InputError where no rung has been trained."""
    rows = by_rung(read_results(run / "results.json"))
    if not rows:
        raise InputError(f"{run}: expected a run with a trained rung, found none")
    return rows


def seeds(run: Path, rungs: Iterable[str]) -> set[int]:
    """Return the seeds that rungs of a run have in common; InputError where a rung is not there."""
    rows = trained(run)
    for rung in rungs:
        if rung not in rows:
            raise InputError(f"{run}: expected the rung {rung}, found {', '.join(rows)}")
    return set.intersection(*({row["seed"] for row in rows[rung]} for rung in rungs))


def members(
    run: Path, rungs: Sequence[str], among: Collection[int] | None = None
) -> dict[str, list[Trained]]:
    """Load rungs of a run with these seeds, by default those that all of them have.

    InputError where they have none in common.
    """
    common = seeds(run, rungs) if among is None else among
    if not common:
        raise InputError(f"{run}: expected a seed that {', '.join(rungs)} have in common")
    return {
        rung: [load_run(run, rung=rung, seed=seed) for seed in sorted(common)] for rung in rungs
    }


def finetuning(args: argparse.Namespace, start: Trained) -> tuple[Stage, Source]:
    """Return the stage `finetune` of a run's preset and options, and the run's photographs."""
    where = args.run / "config.json"
    document = read_json(where)
    run = _arguments(document)
    run.epochs = args.epochs or run.epochs
    stage = config.stage_on("finetune", config.PRESETS[run.preset]["finetune"], start.network.base)
    stage = settings.with_views("finetune", stage, run)
    sets = data_of(document, size=min(photos.sides(start.size)), where=where, progress=False)
    return stage, Source(sets, dtype=jnp.dtype(run.dtype), progress=not args.quiet)


def judged(judge: Judge, shifts: Shifts, ways: Mapping[str, np.ndarray]) -> Judged:
    """Judge ways, each a mixture for each seed: way -> weights `[S, members]`."""
    names, each = list(ways), len(next(iter(ways.values())))
    weights = np.concatenate([ways[name] for name in names])
    right: dict[str, dict[str, np.ndarray]] = {name: {} for name in names}
    for condition, split in shifts:
        rows = judge.right(split.images, split.labels, weights)
        for place, name in enumerate(names):
            right[name][condition] = rows[place * each : (place + 1) * each]
    return Judged(right, shifts.columns)


def write(folder: Path, name: str, document: dict, args: argparse.Namespace) -> None:
    """Write the document, with the arguments that it was made by."""
    arguments = {n: str(v) if isinstance(v, Path) else v for n, v in vars(args).items()}
    disk.write_json(folder / f"{name}.json", {**document, "arguments": arguments})
