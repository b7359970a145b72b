"""Run rungs of the ladder, one after another and seed after seed, and leave the run's files."""

import argparse
import functools
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp

from tljax import config, report
from tljax.climb import ladder
from tljax.commands import cli, photographs
from tljax.commands.climbing import compile_ahead
from tljax.commands.pretrain import pretrain
from tljax.commands.rung import PRESET, Rung, named
from tljax.config import Stage
from tljax.data import ImageSets
from tljax.errors import InputError
from tljax.inputs import views
from tljax.machine import processes
from tljax.models.build import Network
from tljax.recipe import scaled_batch
from tljax.runs import planned
from tljax.runs.workdir import CALLS, Workdir
from tljax.sweep.finished_calls import Kept
from tljax.train import setup
from tljax.train.source import Source
from tljax.weights import Weights, check_preprocess, digest, load, read


def main(doc: str | None, *, experiment: str, rungs: Mapping[str, Rung]) -> None:
    """Run the command of an experiment: parse, load, print the plan, train, report.

    A `--preset` other than the default takes these rungs from `tljax.config` by name; the other
    options change them as they are.
    """
    args = parsed(parser(doc, experiment=experiment))
    if args.preset != PRESET:
        rungs = named(rungs, args.preset)
    stages = {
        name: (_padded(rung.network, args), _with_views(name, rung.stage, args))
        for name, rung in rungs.items()
    }
    workdir, source, stages = begin(args, stages, experiment=experiment)
    programs = compile_ahead(stages, source, seeds=seeds_of(args))
    ladder(
        stages,
        source,
        seeds=seeds_of(args),
        workdir=workdir,
        starts_from={name: rung.after for name, rung in rungs.items() if rung.after},
        programs=programs,
    )
    finish(workdir, source.sets)


def seeds_of(args: argparse.Namespace) -> range:
    """Return the seeds that the options name."""
    return range(args.seed, args.seed + args.seeds)


def begin(
    args: argparse.Namespace, stages: dict[str, tuple[Network, Stage]], *, experiment: str
) -> tuple[Workdir, Source, dict[str, tuple[Network, Stage]]]:
    """Check all that can be refused, then begin the workdir and pretrain a base for critters.

    The networks come back with the width of the base, and the stages with a number of views.
    """
    weights = base_of(args)
    workdir = workdir_of(args, args.workdir or Path("runs") / experiment)
    workdir.listeners += cli.tracked(args, workdir=workdir.path)
    sets = cli.load(args, args.data, size=args.size)
    baseless = weights is None and any(network.base == "vgg16" for network, _ in stages.values())
    if baseless and args.data != "critters":
        raise InputError(
            f"--weights: {args.data} needs a pretrained base; make one with tljax pretrain"
        )
    if processes.first():
        print(about(sets), flush=True)
    width = setup.width_of(weights) if weights else config.CRITTERS_WIDTH
    stages = {
        name: _settled(*pair, sets, width=width, dtype=jnp.dtype(args.dtype))
        for name, pair in stages.items()
    }
    base = digest(weights.params) if weights else None
    workdir.begin(arguments=vars(args), stages=stages, sets=sets, base=base)
    if processes.first():
        planned.write_planned(
            (stage for _, stage in stages.values()),
            images=len(sets.train.labels),
            workdir=workdir.path,
        )
    weights = _pretrained(args, workdir) if baseless else weights
    if weights and any(network.base == "vgg16" for network, _ in stages.values()):
        _look_at_preprocessing(workdir, sets, weights)
    return workdir, source_of(args, workdir, sets, weights), stages


def source_of(
    args: argparse.Namespace, workdir: Workdir, sets: ImageSets, weights: Weights | None
) -> Source:
    """Return what all stages of a command start from."""
    return Source(
        sets, weights, store=workdir.features, dtype=jnp.dtype(args.dtype), progress=not args.quiet
    )


def _look_at_preprocessing(workdir: Workdir, sets: ImageSets, weights: Weights) -> None:
    """Name the preprocessing, warn where it does not suit the base, and keep both for the page."""
    if not processes.first():
        return
    check = check_preprocess(weights, sets.train.images)
    print(
        f"WARNING: {check.alarm}" if check.alarm else f"preprocessing: {check.told()}", flush=True
    )
    workdir.note("preprocessing", check.to_dict())


def _settled(
    network: Network, stage: Stage, sets: ImageSets, *, width: float, dtype: jnp.dtype
) -> tuple[Network, Stage]:
    if network.base == "vgg16":
        network = replace(network, width=width)
    stage, line = views.settled(stage, network, sets, dtype=dtype)
    if line and processes.first():
        print(line, flush=True)
    return network, stage


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
    base, data = digest(source.weights.params) if source.weights else None, source.sets.digest
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


def finish(workdir: Workdir, sets: ImageSets) -> None:
    """Keep the photographs for the report and write it; print the table and the page's path."""
    if not processes.first():
        return
    for listener in workdir.listeners:
        listener.close()
    photographs.keep(workdir.path, sets)
    written = report.write_report(workdir.path)
    results = report.read_results(workdir.path / "results.json")
    print("\n" + report.text_table(results, differences=report.differences(workdir.path)))
    for line in report.few_photographs(workdir.path):
        print(line)
    print(f"\n{written[-1]}")


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line.

    Without `--size` images are as large as those that the base was trained on, where it records
    that, else as large as the lecture's.
    """
    args = parser.parse_args()
    if args.size is None:
        args.size = config.SIZE if args.data in ("critters", "critters:source") else _size_of(args)
    return args


def _size_of(args: argparse.Namespace) -> int:
    weights = base_of(args)
    size = weights.provenance.get("size") if weights else None
    return size if isinstance(size, int) and size > 0 else config.LECTURE_SIZE


def base_of(args: argparse.Namespace) -> Weights | None:
    """Load the base that the options name; None without one."""
    return _loaded(args.weights, progress=not args.quiet) if args.weights else None


@functools.lru_cache(maxsize=1)
def _loaded(name: str, *, progress: bool) -> Weights:
    return load(name, progress=progress)


def parser(doc: str | None, *, experiment: str, rates: bool = True) -> argparse.ArgumentParser:
    """Make a parser with the options of every command that trains from a base.

    `rates=False` leaves out --lr, for a command with a rate option of its own.
    """
    new = cli.parser(doc, experiment=experiment, size=None)
    add = new.add_argument_group("base, rungs and seeds").add_argument
    add(
        "--weights",
        metavar="FILE",
        help="the pretrained base: a file, or the name of a published one such as "
        "vgg16-imagenet-keras-notop (on critters: pretrained first if not given)",
    )
    add("--seeds", type=cli.positive, default=1, metavar="N", help="how many seeds to run (1)")
    add("--seed", type=int, default=0, help="the first of them (0)")
    presets = (
        "rates and lengths: tuned for any base, deck-keras2 and deck-keras3 the lecture's, "
        "critters (tuned)"
    )
    add("--preset", choices=sorted(config.PRESETS), default=PRESET, help=presets)
    if rates:
        add(
            "--lr",
            dest="rate",
            type=_rate,
            metavar="RATE",
            help="peak rate of every stage, or find: a range test (the preset's)",
        )
    cli.log_option(new)
    views = (
        "augmented views of each photograph through the frozen prefix, 0 for fresh ones at each "
        "step (the preset's)"
    )
    add("--views", type=int, metavar="K", help=views)
    stored = "what those views are kept in; bfloat16 makes room for twice as many (as --dtype)"
    add("--features-dtype", choices=("float32", "bfloat16"), help=stored)
    add(
        "--batch",
        type=cli.positive,
        metavar="N",
        help="batch size, of all devices together (the preset's)",
    )
    scaled = (
        "with --batch: rates times as much as the batch is larger, after a warm-up "
        "(the linear rule)"
    )
    add("--scale-lr", action="store_true", help=scaled)
    return new


def network_of(name: str, args: argparse.Namespace) -> Network:
    """Return the preset's network of a rung, for the size of the images that the options name."""
    return _padded(config.network_of(name, args.preset), args)


def stage_of(name: str, args: argparse.Namespace) -> Stage:
    """Return the preset's stage of a rung, changed by the options."""
    return _with_views(name, config.PRESETS[args.preset][name], args)


def _padded(network: Network, args: argparse.Namespace) -> Network:
    return replace(network, padding="SAME") if args.size < config.CNN_VALID_SIZE else network


def _with_views(name: str, stage: Stage, args: argparse.Namespace) -> Stage:
    stage = with_options(stage, args)
    if args.views is None or name not in ("frozen", "finetune"):
        return stage
    return replace(stage, views=args.views or None)


def with_options(stage: Stage, args: argparse.Namespace) -> Stage:
    """Give a stage the length, batch, rates and dtype of features that the options name."""
    if args.scale_lr and not args.batch:
        raise InputError("--scale-lr: expected --batch with it, which it scales the rates by")
    if args.epochs and stage.solver == "steps":
        stage = replace(stage, epochs=args.epochs)
    stage = replace(
        stage.scaled(budget=args.budget),
        skip_nonfinite=args.skip_nonfinite,
        keep_going=args.keep_going,
    )
    if rate := getattr(args, "rate", None):
        stage = at_rate(stage, rate)
    if args.features_dtype and stage.views:
        stage = replace(stage, features_dtype=args.features_dtype)
    if not args.batch:
        return stage
    return (
        scaled_batch(stage, args.batch) if args.scale_lr else replace(stage, batch_size=args.batch)
    )


def at_rate(stage: Stage, rate: float | Literal["find"]) -> Stage:
    """Give a stage of steps another rate: the peak of its schedule where it has one."""
    if stage.solver != "steps":
        return stage
    schedule: Any = stage.lr
    peaked = rate != "find" and hasattr(schedule, "peak")
    return replace(stage, lr=replace(schedule, peak=rate) if peaked else rate)


def _rate(text: str) -> float | str:
    return "find" if text == "find" else cli.fraction(text)


def _pretrained(args: argparse.Namespace, workdir: Workdir) -> Weights:
    out, progress = workdir.path / "base.safetensors", workdir.path / "progress" / "base"
    if workdir.resumed and out.exists() and not progress.exists():
        return read(out)
    sets = cli.load(args, "critters:source", size=min(args.size, config.PRETRAIN_SIZE))
    stage = replace(config.PRETRAIN.scaled(budget=args.budget), skip_nonfinite=args.skip_nonfinite)
    if not workdir.resumed:
        out.unlink(missing_ok=True)  # of the run before: half of this one must not pass for a whole
    return pretrain(
        source_of(args, workdir, sets, None),
        stage,
        width=config.CRITTERS_WIDTH,
        seed=0,
        out=out,
        saves=progress,
        listeners=workdir.listeners,
    )


def about(sets: ImageSets) -> str:
    """Describe a data set in one line: classes, images, size."""
    counts = (
        f"{len(sets.train.labels)} training and {len(sets.validation.labels)} validation images"
    )
    skipped = f", {len(sets.skipped)} corrupt ones left out" if sets.skipped else ""
    side = sets.size
    classes = ", ".join(sets.classes) if len(sets.classes) <= 12 else f"{len(sets.classes)} classes"
    return f"{sets.name}: {classes}; {counts} of {side} x {side}{skipped}"
