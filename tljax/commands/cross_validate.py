"""Cross-validate a head on saved features in K folds, all folds and seeds in one program.

    tljax cross-validate --data folder:PHOTOS --size 32 --weights base.safetensors \\
        --folds 10 --seeds 3

--folds all leaves one photograph out at a time. Uses the training photographs alone, each judged
by the run that never saw it: with a few hundred of them a steadier figure than one validation set.
Leaves cross_validate.json, with the logits' scores for each seed, and the names of the photographs
that most runs get wrong; out_of_fold/ has the logits, from which `tljax suspects` finds labels that
are probably wrong, `tljax report` makes a page, and `tljax compare` pairs two of them. --resume
continues with the runs that a stopped one had not trained yet.
"""

import argparse
import shlex
import time
from pathlib import Path

import numpy as np

from tljax.commands import cli, options, runner, running
from tljax.commands.climb.refusals import Outlines
from tljax.data.examples import Sets
from tljax.data.folds import stratified
from tljax.errors import InputError
from tljax.files import disk
from tljax.machine import processes
from tljax.machine.hushed import hushed
from tljax.machine.provenance import environment
from tljax.report.stats import intervals
from tljax.report.tables.table import aligned, interval_text, percent
from tljax.runs import out_of_fold
from tljax.sweep import folds, heads_of_seeds, sweep
from tljax.tasks.classification import CLASSIFICATION, predicted_classes
from tljax.train import setup
from tljax.train.ready import Ready

_SHOWN = 10  # photographs that are named


def main() -> None:
    """Run the command."""
    args = options.parsed(_parser())
    runner.refuse_finished(args, Path("runs/cross_validate"), out_of_fold.FILE)
    stages = {
        "features": (options.network_of("features", args), options.stage_of("features", args))
    }

    def check(sets: Sets, outlines: Outlines) -> None:
        running.classes_only(sets, "cross-validate")
        stage, ready = outlines["features"]
        if why := sweep.fits_sweep(stage, ready):
            raise InputError(f"cross_validate: {why}")
        stratified(ready.inputs.train.labels, k=_folds_of(args, ready), seed=args.seed)

    with (
        hushed(args.quiet),
        runner.begin(args, stages, experiment="cross_validate", check=check) as (
            workdir,
            source,
            stages,
        ),
    ):
        network, stage = stages["features"]
        ready = setup.prepare(stage, network, source, seed=args.seed)
        seeds = options.seeds_of(args)
        started = time.perf_counter()
        judged = folds.cross_validate(
            stage,
            heads_of_seeds.starts(ready, seeds=seeds, like=source.sets.spec),
            k=_folds_of(args, ready),
            seeds=seeds,
            kept=runner.kept_calls(workdir, args, network, source),
            tell=lambda line: print(line, flush=True),
        )
    if processes.first():
        _write(args, workdir.path, source.sets, judged, time.perf_counter() - started)


def _write(
    args: argparse.Namespace,
    folder: Path,
    sets: Sets,
    judged: folds.CrossValidation,
    seconds: float,
) -> None:
    rows = {
        seed: CLASSIFICATION.judged(logits, judged.labels)
        for seed, logits in zip(judged.seeds, judged.logits, strict=True)
    }
    wrong = np.mean(
        [predicted_classes(logits) != judged.labels for logits in judged.logits], axis=0
    )
    hard = [
        (sets.train.ids[i], float(wrong[i]))
        for i in np.argsort(-wrong, kind="stable")[:_SHOWN]
        if wrong[i] > 0
    ]
    document = {
        "arguments": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(args).items()
        },
        "data": {"source": sets.name, "digest": sets.digest},
        "environment": environment(),
        "seconds": seconds,
        "seeds": rows,
        "folds": _of_folds(judged),
        "most_often_wrong": hard,
    }
    for seed, logits in zip(judged.seeds, judged.logits, strict=True):
        out_of_fold.write(folder, logits, seed=seed, sets=sets)
    disk.write_json(folder / out_of_fold.FILE, document)
    accuracies = [row["accuracy"] for row in rows.values()]
    lines = [_row(*pair) for pair in rows.items()]
    print("\n" + sets.task.worded(aligned(("seed", "accuracy", "95 % interval"), lines)))
    interval = intervals.accuracy_interval(accuracies, images=len(judged.labels))
    if len(accuracies) > 1 and interval:
        few = "; two seeds say little of the spread" if len(accuracies) == 2 else ""
        print(
            f"mean {percent(intervals.mean(accuracies))}, "
            f"95 % interval {sets.task.worded(interval_text(interval))}{few}"
        )
    runs = len(judged.seeds) * (int(judged.fold.max()) + 1)
    print(f"{runs} runs, {judged.plan.members} of them in these {seconds:.1f} s")
    print("most often wrong: " + (", ".join(name for name, _ in hard) or "none"))
    print(f"as a page: tljax report --run {shlex.quote(str(folder))}")


def _of_folds(judged: folds.CrossValidation) -> list[dict[str, float]]:
    """Score each fold, the mean over seeds; of folds of one photograph there is nothing to tell."""
    counts = np.bincount(judged.fold)
    if counts.max() == 1:
        return []
    right = np.mean([predicted_classes(each) == judged.labels for each in judged.logits], axis=0)
    shares = np.bincount(judged.fold, weights=right) / counts
    return [
        {"n": int(n), "accuracy": float(share)} for n, share in zip(counts, shares, strict=True)
    ]


def _row(seed: int, row: dict[str, float]) -> tuple[str, ...]:
    interval = intervals.wilson_interval(row["accuracy"], images=int(row["n"]))
    between = interval_text(interval) if interval else ""
    return f"{seed}", percent(row["accuracy"]), between


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, experiment="cross_validate")
    parser.add_argument(
        "--folds", type=_folds, default=10, metavar="K", help="how many, or all: leave one out (10)"
    )
    return parser


def _folds_of(args: argparse.Namespace, ready: Ready) -> int:
    return len(ready.inputs.train) if args.folds == "all" else args.folds


def _folds(text: str) -> int | str:
    return text if text == "all" else cli.positive(text)
