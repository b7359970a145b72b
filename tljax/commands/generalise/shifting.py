"""What commands share that judge classifiers on shifted photographs: options, and the judging."""

import argparse
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from tljax import config, waiting
from tljax.commands import cli, running
from tljax.commands import options as settings
from tljax.commands.inside import data_of, evenly
from tljax.config import Stage
from tljax.data import ImageSet, ImageSets, photos
from tljax.errors import InputError
from tljax.files import disk
from tljax.methods import corrupt, domain
from tljax.methods.judge import Judge
from tljax.report.stats.shifts import CORRUPTED, PLAIN, Judged
from tljax.runs.predict import load_run
from tljax.runs.results import by_rung, read_json, read_results
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.known import of_results
from tljax.train.outcome.trained import Trained
from tljax.train.source import Source
from tljax.tree import Json

# One of each family, which together rank classifiers much as all do, at a third of the cost.
FEW = ("gaussian_noise", "defocus_blur", "fog", "contrast", "jpeg")


def options(parser: argparse.ArgumentParser) -> None:
    """Add what is judged: kinds, severities, how many photographs, and a second source."""
    group = cli.group(parser, "shifted photographs")
    add = group.add_argument
    kinds = f"{', '.join(corrupt.KINDS)}; all; or none ({', '.join(FEW)})"
    add("--kinds", nargs="+", default=FEW, metavar="KIND", help=f"corruptions: {kinds}")
    severities = "severities of each, from 1 to 5 (3 5)"
    add("--severities", nargs="+", type=int, default=(3, 5), metavar="N", help=severities)
    judged = "judge N validation photographs, evenly through them (all)"
    add("--photographs", type=cli.positive, metavar="N", help=judged)
    other = "also judge the held-out photographs of another source with the same classes"
    add("--shifted", metavar="SOURCE", help=other)


def run_options(parser: argparse.ArgumentParser) -> None:
    """Add the run that is judged, and where the result goes."""
    add = parser.add_argument
    add("--run", type=cli.path, required=True, metavar="DIR", help="the workdir of a run")
    add("--quiet", action="store_true", help="print the result and what is wrong, nothing else")
    cli.base_option(parser)
    options(parser)


class Shifts:
    """The held-out photographs of a set in every condition, each made when it is judged."""

    def __init__(
        self, args: argparse.Namespace, sets: ImageSets, reading: argparse.Namespace
    ) -> None:
        """Take what is judged from `args`; a second source is read as `reading` says."""
        self._args = args
        whole = sets.test or sets.validation
        count = args.photographs
        self.split = evenly(whole, count=count) if count and count < len(whole) else whole
        self.name = "test" if sets.test else "validation"
        wanted = [] if "none" in args.kinds else list(args.kinds)
        self._kinds = list(corrupt.KINDS) if "all" in wanted else wanted
        for kind in self._kinds:
            if kind not in corrupt.KINDS:
                raise InputError(
                    f"--kinds: expected some of {', '.join(corrupt.KINDS)}; found {kind!r}"
                )
        self.columns: dict[str, list[str]] = {PLAIN: [PLAIN]}
        named = [f"{kind} {severity}" for kind in self._kinds for severity in args.severities]
        self.columns |= {CORRUPTED: named} if named else {}
        self._second = self._other(sets, reading)
        if self._second:
            self.columns[args.shifted] = [args.shifted]

    def __iter__(self) -> Iterator[tuple[str, ImageSet]]:
        """Yield `(condition, photographs)`, with a bar beside them."""
        shown = not self._args.quiet
        with waiting.bar(len(self), "judge", unit="conditions", shown=shown) as bar:
            for each in self._conditions():
                yield each
                bar.update()

    def _conditions(self) -> Iterator[tuple[str, ImageSet]]:
        yield PLAIN, self.split
        for kind in self._kinds:
            for severity in self._args.severities:
                images = corrupt.corrupted(self.split.images, kind, severity=severity)
                yield f"{kind} {severity}", replace(self.split, images=images)
        if self._second:
            yield self._args.shifted, self._second

    def __len__(self) -> int:
        return sum(map(len, self.columns.values()))

    def about(self) -> str:
        """Say in a sentence or two what was judged."""
        what = [f"{len(self.split):,} {self.name} photographs as they are"]
        if self._kinds:
            severities = ", ".join(map(str, self._args.severities))
            kinds = ", ".join(kind.replace("_", " ") for kind in self._kinds)
            what.append(f"the same with {kinds}, each at severity {severities}")
        what += [f"{len(self._second):,} of {self._args.shifted}"] if self._second else []
        return f"{'; '.join(what)}."

    def _other(self, sets: ImageSets, reading: argparse.Namespace) -> ImageSet | None:
        if not self._args.shifted:
            return None
        other = running.load(reading, self._args.shifted, size=min(photos.sides(sets.size)))
        domain.check(sets, other)
        return other.test or other.validation


def photographs(args: argparse.Namespace) -> Shifts:
    """Load the photographs that a run was judged on, to be shifted.

    InputError for a run of another task than classes of photographs.
    """
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


def seeds(run: Path, rungs: Iterable[str]) -> set[int]:
    """Return the seeds that rungs of a run have in common; InputError where a rung is not there."""
    rows = by_rung(read_results(run / "results.json"))
    for rung in rungs:
        if rung not in rows:
            raise InputError(f"{run}: expected the rung {rung}, found {', '.join(rows) or 'none'}")
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
