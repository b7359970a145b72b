"""Measure accuracy by the number of labelled examples: are more labels worth their work?

    tljax labels --data folder:PHOTOS --weights efficientnet-lite0 --labels 50 200 all --seeds 5

For each number, each seed draws so many training examples, which keep each class's share; its
larger draws hold the smaller ones. The rungs train on each draw and are judged on the whole test
split, or on validation where there is none. Features of a frozen base are computed once for all.
Leaves labels.json and labels.png; differences are paired over seeds and examples.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from tljax import config, waiting
from tljax.commands import cli, options, runner, running
from tljax.commands.climb.refusals import Outlines
from tljax.commands.climb.rung import PRESET, named
from tljax.config import Stage
from tljax.data.examples import Sets
from tljax.data.splits import few
from tljax.errors import InputError
from tljax.files import disk
from tljax.inputs.feed import Examples
from tljax.machine import processes
from tljax.machine.hushed import hushed
from tljax.models.build import Network
from tljax.report.pictures.labels import write_labels
from tljax.report.stats.shifts import PLAIN, Judged
from tljax.report.tables import labels as table
from tljax.tasks.classification import predicted_classes
from tljax.train import rung, setup
from tljax.train.ready import Ready
from tljax.train.rung import Trained
from tljax.train.source import Source

ALL = "all"
NAME = "labels.json"
Right = dict[str, dict[str, np.ndarray]]  # way -> the one condition -> bool [seeds, N]


def main() -> None:
    """Run the command."""
    args = options.parsed(_parser())
    runner.refuse_finished(args, Path("runs/labels"), NAME)
    rungs = named(_with_starts(args.rungs), args.preset or PRESET)
    stages = {
        name: (
            options.network_on(name, each.network, args),
            options.stage_on(name, each.stage, args),
        )
        for name, each in rungs.items()
    }

    def check(sets: Sets, outlines: Outlines) -> None:
        running.classes_only(sets, "labels")
        _counts(args.labels, sets)

    with (
        hushed(args.quiet),
        runner.begin(args, stages, experiment="labels", check=check) as (workdir, source, stages),
    ):
        counts = _counts(args.labels, source.sets)
        right = _measured(args, stages, source, counts)
    if not processes.first():
        return
    judged, shown = Judged(right, {PLAIN: [PLAIN]}), _shown(args.rungs)
    document = {
        "labels": counts,
        "rungs": shown,
        "judged": source.sets.name,
        "split": "test" if source.sets.test else "validation",
        **judged.to_dict(table.pairs(shown, counts)),
    }
    disk.write_json(workdir.path / NAME, document)
    print(table.text(document))
    print(f"\n{write_labels(document, path=workdir.path / 'labels.png')}")


def _shown(rungs: list[str]) -> list[str]:
    """Put the rungs in the order of the ladder."""
    return [name for name in config.RUNGS if name in rungs]


def _with_starts(rungs: list[str]) -> list[str]:
    """Add the rungs that these start from, in the order of the ladder."""
    starts = [config.STARTS_FROM.get(name) for name in rungs]
    more = {*rungs, *(name for name in starts if name)}
    return _shown(list(more)) if more == set(rungs) else _with_starts(list(more))


def _counts(asked: list[str], sets: Sets) -> list[int]:
    """Read the numbers of labels, each once, in order; InputError for one that cannot be drawn."""
    least, most = len(sets.classes), len(sets.train)
    numbers = [most if text == ALL else int(text) for text in asked]
    if not numbers:  # all, a half, a quarter ..., down to ten of each class
        numbers = [most >> n for n in range(most.bit_length()) if most >> n >= 10 * least] or [most]
    for number in numbers:
        if not least <= number <= most:
            expected = f"{least} (one of each class) to {most:,} training examples"
            raise InputError(f"--labels {number}: expected {expected}")
    return sorted(set(numbers))


def _measured(
    args: argparse.Namespace,
    stages: dict[str, tuple[Network, Stage]],
    source: Source,
    counts: list[int],
) -> Right:
    """Train each rung on each draw: which held-out examples it gets right."""
    train = source.sets.train
    labels = (source.sets.test or source.sets.validation).labels
    right: dict[str, list[np.ndarray]] = {
        table.way(n, name): [] for n in counts for name in _shown(args.rungs)
    }
    quiet = replace(source, progress=False)
    seeds = options.seeds_of(args)
    with waiting.bar(len(counts) * len(seeds), "draws", unit="draws", shown=source.progress) as bar:
        for count in counts:
            for seed in seeds:
                kept = few(train.labels, train.ids, count, seed=seed)
                for name, trained in _climbed(stages, quiet, kept, seed=seed).items():
                    if name not in args.rungs:
                        continue
                    logits = trained.logits.get("test", trained.logits["validation"])
                    right[table.way(count, name)].append(predicted_classes(logits) == labels)
                bar.update()
    return {name: {PLAIN: np.stack(rows)} for name, rows in right.items()}


def _climbed(
    stages: dict[str, tuple[Network, Stage]], source: Source, kept: np.ndarray, *, seed: int
) -> dict[str, Trained]:
    """Train the rungs on these training examples, each from the one that it starts from."""
    done: dict[str, Trained] = {}
    for name, (network, stage) in stages.items():
        below = done.get(config.STARTS_FROM.get(name, ""))
        ready = setup.prepare(stage, network, source, seed=seed, before=below)
        done[name] = rung.run(stage, _on(ready, kept), seed=seed, progress=False)
    return done


def _on(ready: Ready, kept: np.ndarray) -> Ready:
    """Return a stage that trains on these examples alone, in all of their views."""
    train = ready.inputs.train
    rows = (np.arange(train.views)[:, None] * len(train) + kept).ravel()
    part = Examples(np.asarray(train.inputs[rows]), train.labels[kept], views=train.views)
    return replace(ready, inputs=replace(ready.inputs, train=part))


def _number(text: str) -> str:
    return text if text == ALL else str(cli.positive(text))


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, experiment="labels")
    what = cli.group(parser, cli.BASE)
    numbers = "how many to train on, or all (all, a half, a quarter, to ten of each class)"
    what.add_argument("--labels", nargs="+", type=_number, metavar="N", default=[], help=numbers)
    which = "which, each from the one that it starts from (scratch linear)"
    rungs = ["scratch", "linear"]
    what.add_argument("--rungs", nargs="+", choices=config.RUNGS, default=rungs, help=which)
    return parser
