"""Run rungs of the ladder, one after another and seed after seed, and leave the run's files."""

import argparse
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tljax import report, waiting
from tljax.commands import cli, options, running
from tljax.commands.climb import bases, photographs, refusals, settle
from tljax.commands.climb.climbing import climb_ladder
from tljax.commands.climb.onward import say_next
from tljax.commands.climb.rung import PRESET, Rung, named
from tljax.commands.generalise import shifted
from tljax.commands.text import keep as sentences
from tljax.commands.text import read as texts
from tljax.config import Stage
from tljax.data import ImageSets, drawn
from tljax.data.examples import Sets
from tljax.data.text import docstrings
from tljax.data.text.sets import TextSets
from tljax.errors import InputError
from tljax.machine import compiler_log, processes
from tljax.machine.hushed import hushed
from tljax.models import winograd
from tljax.models.build import Network
from tljax.runs import planned
from tljax.runs.contents import CALLS, COMPILER_LOG
from tljax.runs.workdir import Workdir
from tljax.sweep.finished_calls import Kept
from tljax.tasks.text import TEXT
from tljax.train.source import Source
from tljax.weights import known


def main(doc: str | None, *, experiment: str, rungs: Mapping[str, Rung]) -> None:
    """Run the command of an experiment: parse, load, print the plan, train, report.

    A `--preset` other than the default takes these rungs from `tljax.config` by name; the other
    options change them as they are.
    """
    parser = options.parser(doc, experiment=experiment)
    also = "also judge each rung on corrupted photographs, and on those of SOURCE if one is named"
    cli.group(parser, cli.ON).add_argument(
        "--shifted", nargs="?", const="", metavar="SOURCE", help=f"{also}; see tljax shifted"
    )
    args = options.parsed(parser)
    if args.preset != PRESET:
        rungs = named(rungs, args.preset)
    stages = {
        name: (
            options.network_on(name, each.network, args),
            options.stage_on(name, each.stage, args),
        )
        for name, each in rungs.items()
    }
    with (
        hushed(args.quiet),
        begin(args, stages, experiment=experiment) as (workdir, source, stages),
    ):
        climb_ladder(
            stages,
            source,
            seeds=options.seeds_of(args),
            workdir=workdir,
            starts_from={name: each.after for name, each in rungs.items() if each.after},
        )
    judged = shifted.after(args, workdir.path)
    finish(workdir, source.sets, quiet=args.quiet)
    if judged:
        print(f"\n{judged}")


@contextmanager
def begin(
    args: argparse.Namespace,
    stages: dict[str, tuple[Network, Stage]],
    *,
    experiment: str,
    most_views: int | None = None,
    check: refusals.Check = refusals.accept,
) -> Generator[tuple[Workdir, Source, dict[str, tuple[Network, Stage]]]]:
    """Check all that can be refused, then begin the workdir and pretrain a base for critters.

    `check` is the command's own part of that, on the data and outlines of the stages. What it or a
    stage refuses leaves the run that lies in the workdir whole. The stages come back with a number
    of views, at most `most_views` where they left it open. Within the context convolutions are
    computed as --lowering says.
    """
    refusals.unused(args, stages)
    weights = options.base_of(args)
    workdir = workdir_of(args, args.workdir or Path("runs") / experiment)
    workdir.listeners += running.tracked(args, workdir=workdir.path)
    reads_texts = args.task == TEXT.name
    if reads_texts:
        sets = texts.load(args, weights)
    else:
        sets = running.load(args, args.data, size=args.size)
    shifted.check(args, sets)
    takes = any(network.architecture.pretrained for network, _ in stages.values())
    baseless = weights is None and takes
    if baseless and args.data not in (*drawn.TARGETS, docstrings.TARGET):
        raise InputError(
            f"--weights: {args.data} needs a pretrained base: {known.listed(sets.spec)}, a file, "
            "or one that tljax pretrain made"
        )
    if processes.first():
        print(sets.counts(), flush=True)
    stages = settle.stages(stages, args, sets, most_views=most_views)
    refusals.untrainable(stages, bases.source_of(args, workdir, sets, weights), check)
    base = weights.digest if weights else None
    shapes = settle.lowered(args, workdir, [network for network, _ in stages.values()], sets)
    with winograd.using(shapes):
        workdir.begin(arguments=vars(args), stages=stages, sets=sets, base=base)
        if processes.first():
            compiler_log.send_to(workdir.path / COMPILER_LOG)
            planned.write_planned(
                (stage for _, stage in stages.values()),
                images=len(sets.train.labels),
                workdir=workdir.path,
            )
        weights = bases.pretrained(args, workdir) if baseless else weights
        if weights and takes:
            bases.look_at_preprocessing(workdir, sets, weights)
        yield workdir, bases.source_of(args, workdir, sets, weights), stages


def refuse_finished(args: argparse.Namespace, folder: Path, name: str) -> None:
    """Raise InputError where the document that a command leaves exists already.

    --overwrite, --resume and --resume-anyway allow it.
    """
    folder = args.workdir or folder
    if (folder / name).exists() and not (args.overwrite or args.resume or args.resume_anyway):
        raise InputError(
            f"{folder} holds {name}; name another --workdir, or pass --overwrite or --resume"
        )


def kept_calls(
    workdir: Workdir, args: argparse.Namespace, network: Network, source: Source
) -> Kept:
    """Name where a sweep keeps its calls, for this network, these data and this base."""
    base, data = source.weights.digest if source.weights else None, source.sets.digest
    about = {
        "network": asdict(network),
        "data": data,
        "base": base,
        "dtype": args.dtype,
        "first": args.seed,
    }
    return Kept(workdir.path / CALLS, about=about)


def workdir_of(args: argparse.Namespace, path: Path) -> Workdir:
    """Make the folder of a run; the options say what becomes of one that exists already."""
    resume = args.resume or args.resume_anyway
    return Workdir(path, overwrite=args.overwrite, resume=resume, anyway=args.resume_anyway)


def finish(workdir: Workdir, sets: Sets, *, quiet: bool) -> None:
    """Keep the photographs for the report and write it; print the table and the page's path."""
    if not processes.first():
        return
    for listener in workdir.listeners:
        listener.close()
    with waiting.bar(2, "report", unit="parts", shown=not quiet) as bar:
        if isinstance(sets, ImageSets):
            photographs.keep(workdir.path, sets)
        elif isinstance(sets, TextSets):
            sentences.keep(workdir.path, sets)
        bar.update()
        written = report.write_report(workdir.path)
        bar.update()
    results = report.read_results(workdir.path / "results.json")
    print("\n" + report.text_table(results, differences=report.differences(workdir.path)))
    for line in report.few_photographs(workdir.path):
        print(line)
    print(f"\n{written[-1]}")
    say_next(workdir.path, page=written[-1], results=results, quiet=quiet)
