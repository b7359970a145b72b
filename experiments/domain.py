"""The same classes in another domain: simulated to real images, or clean to corrupted ones.

    python -m experiments.domain --target folder:PHOTOS --size 32
    python -m experiments.domain --data folder:PHOTOS --corrupt all --size 32 \\
        --weights base.safetensors --seeds 3

"source only" trains on the source and is evaluated on the target; "CORAL" trains on the same images
while it aligns the covariance of its features with that of target images, without their labels (Sun
and Saenko 2016); "fine-tuned" continues from "source only" with labelled images of the target.

Critters to photographs of cats and dogs, means of 3 seeds: 53.3, 54.0 and 62.6 %. docs/methods.md
has the corrupted ones.
"""

import argparse
import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tljax import config, report
from tljax.climb import ladder
from tljax.commands import cli, options, runner, running
from tljax.config import Stage
from tljax.data import ImageSets, corrupt
from tljax.errors import InputError
from tljax.files import disk
from tljax.machine import processes
from tljax.machine.provenance import environment
from tljax.methods import domain
from tljax.models.build import Network
from tljax.report.pictures import domain as picture
from tljax.report.tables import table
from tljax.runs.results import read_results
from tljax.runs.workdir import Workdir
from tljax.train import rung, setup
from tljax.train.history import OnEpoch
from tljax.train.source import Source

SOURCE_ONLY, CORAL, TUNED = "source only", "CORAL", "fine-tuned"


def main() -> None:
    """Run the command."""
    parser = _parser()
    asked = parser.parse_args()  # refused before a base is read
    if (asked.target is None) == (asked.corrupt is None):
        raise InputError("expected either --target SOURCE or --corrupt NAMES: the domain to get to")
    args = options.parsed(parser)
    stages = stages_of(args)
    folder = args.workdir or Path("runs/domain")
    targets = targets_of(args)
    workdirs = {name: runner.workdir_of(args, folder / name) for name in targets}
    at_home = copy.copy(args)
    at_home.workdir = folder / "source"
    first = {SOURCE_ONLY: stages[SOURCE_ONLY]}
    with runner.begin(at_home, first, experiment="domain") as (home, source, first):
        for name, target in targets.items():
            domain.check(source.sets, target)
            base = source.weights.digest if source.weights else None
            workdirs[name].begin(arguments=vars(args), stages=stages, sets=target, base=base)
            if processes.first():
                print(target.counts(), flush=True)
        for seed in options.seeds_of(args):
            start = ladder(first, source, workdir=home, seeds=[seed])[seed][SOURCE_ONLY]
            for name, target in targets.items():
                reach(
                    args,
                    stages,
                    source,
                    target,
                    start,
                    seed=seed,
                    home=home,
                    workdir=workdirs[name],
                )
        if processes.first():
            _write(args, folder, [home, *workdirs.values()])


def reach(
    args: argparse.Namespace,
    stages: dict[str, tuple[Network, Stage]],
    source: Source,
    target: ImageSets,
    start: rung.Trained,
    *,
    seed: int,
    home: Workdir,
    workdir: Workdir,
) -> None:
    """Train every way to one target with one seed.

    `start` is what was trained on the source alone, in the folder `home`.
    """
    for way, (network, stage) in stages.items():
        slot = workdir.slot(way, seed=seed)
        if slot.finished is not None:
            continue
        log: OnEpoch = lambda record, state: workdir.log(record)  # noqa: E731
        if way == SOURCE_ONLY:
            done = domain.moved(start, target, record=_last_epoch(home, seed), dtype=source.dtype)
            workdir.forget(way, seed=seed)
            workdir.log(done.history.result())
        elif way == CORAL:
            weight = args.coral_weight
            done = domain.by_coral(
                stage,
                network,
                source,
                target,
                weight=weight,
                seed=seed,
                on_epoch=log,
                saver=slot.saver,
            )
        else:
            there = replace(source, sets=target, store=workdir.features)
            ready = setup.prepare(stage, network, there, seed=seed, before=start)
            done = rung.run(
                stage, ready, seed=seed, slot=slot, on_epoch=log, progress=source.progress
            )
        workdir.finish(way, done, seed=seed, stage=stage, sets=target)


def stages_of(args: argparse.Namespace) -> dict[str, tuple[Network, Stage]]:
    """Return each way's network and stage.

    All train everything at differential rates, in as many steps; the target's images are drawn as
    often.
    """
    stage = options.stage_of("differential", args)
    network = config.network_of("differential", args.preset)
    return {way: (network, replace(stage, name=way)) for way in (SOURCE_ONLY, CORAL, TUNED)}


def targets_of(args: argparse.Namespace) -> dict[str, ImageSets]:
    """Load the task in each target domain, by name."""
    if args.target is not None:
        return {"target": running.load(args, args.target, size=args.size)}
    names = list(corrupt.CORRUPTIONS) if "all" in args.corrupt else args.corrupt
    clean = running.load(args, args.data, size=args.size)
    return {name: corrupt.corrupted(clean, name, severity=args.severity) for name in names}


def _last_epoch(home: Workdir, seed: int) -> dict[str, Any]:
    records = map(
        json.loads, (home.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    )
    return [record for record in records if record["seed"] == seed][-1]


def _arguments(args: argparse.Namespace) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()
    }


def _write(args: argparse.Namespace, folder: Path, workdirs: list[Workdir]) -> None:
    """Write each folder's report, then the table, the picture and results.json of all."""
    for each in workdirs:
        report.write_report(each.path)
    source, *others = (read_results(each.path / "results.json") for each in workdirs)
    targets = {each.path.name: results for each, results in zip(workdirs[1:], others, strict=True)}
    differences = {each.path.name: report.differences(each.path) for each in workdirs[1:]}
    document = {
        "arguments": _arguments(args),
        "environment": environment(),
        "source": source,
        "targets": {
            name: {**results, "differences": differences[name]} for name, results in targets.items()
        },
    }
    disk.write_json(folder / "results.json", document)
    path = picture.write_domains(source, targets, workdir=folder)
    at_home, interval = table.score(source["rungs"])
    print(f"\nOn the source itself: {table.percent(at_home)} ({table.interval_text(interval)})\n")
    print(
        table.aligned(
            ["target", "way", "val. accuracy", "95 % interval", "each seed"], picture.cells(targets)
        )
    )
    for name, lines in differences.items():
        print("\n".join([f"\n{name}", *[f"  {line}" for line in lines]]))
    print(f"\n{path}")


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, experiment="domain")
    add = parser.add_argument
    add("--target", metavar="SOURCE", help="the same classes in another domain, as --data has it")
    names = f"or these corruptions of --data: {', '.join(corrupt.CORRUPTIONS)}, all"
    add("--corrupt", nargs="+", choices=[*corrupt.CORRUPTIONS, "all"], metavar="NAME", help=names)
    add(
        "--severity",
        type=int,
        default=5,
        choices=corrupt.SEVERITIES,
        help="of the corruptions, 1 to 5 (5)",
    )
    weighs = "of the distance in CORAL's loss (%(default)s)"
    add(
        "--coral-weight",
        type=cli.fraction,
        default=domain.CORAL_WEIGHT,
        metavar="LAMBDA",
        help=weighs,
    )
    return parser


if __name__ == "__main__":
    running.run(main)
