"""Two tasks at once against one after the other: do a source and a target task share a base better in turn or together?

    python -m experiments.multitask
    python -m experiments.multitask --data folder:TARGET --source folder:SOURCE --seeds 3

"alone" trains on the target from nothing; "sequential" trains the base on the source, then on the target under a new
head, each earlier block at a rate 3 times smaller; "multitask" trains two heads on one base from nothing, 24 images of
the source and 8 of the target at each step. All draw as many images of the target, the last two as many of the source,
in batches of 32, with one network and one optimizer.

Critters, means of 3 seeds: alone 69.5, sequential 80.7, multitask 84.3 %; 20 minutes on one core.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from tljax import config
from tljax.commands import cli, runner
from tljax.config import Stage
from tljax.data import ImageSets
from tljax.machine import processes
from tljax.methods import multitask
from tljax.models.build import Network
from tljax.optim.rules import Rules, discriminative
from tljax.runs.workdir import Workdir
from tljax.train import rung as rung_lib
from tljax.train.resume import Saver
from tljax.weights import Weights, digest, load

EPOCHS, TARGET_IMAGES, BATCH = 20, 480, 32  # images of the target an epoch; examples a step, of both together
SOURCE_BATCH = 24  # of those 32
SOURCE_IMAGES = TARGET_IMAGES // (BATCH - SOURCE_BATCH) * SOURCE_BATCH  # an epoch
SHARED: Rules = discriminative((*config.BLOCKS, ("head/.*", "other/.*")), factor=3.0)


def main() -> None:
    """The command."""
    args = _parser().parse_args()
    weights = load(args.weights, progress=not args.quiet) if args.weights else None
    workdir = Workdir(args.workdir or Path("runs/multitask"), overwrite=args.overwrite, **runner.resuming(args))
    target, source = (cli.load(args, name, size=args.size) for name in (args.data, args.source))
    stages = stages_of(args, from_weights=weights is not None)
    arguments = {**vars(args), "source_digest": source.digest}
    workdir.begin(arguments=arguments, stages=stages, sets=target, base=digest(weights.params) if weights else None)
    if processes.first():
        print(f"{runner.about(target)}\n{runner.about(source)}", flush=True)
    for seed in range(args.seed, args.seed + args.seeds):
        for way in stages:
            _one(way, args, stages[way], target, source, weights=weights, seed=seed, workdir=workdir)
    runner.finish(workdir, target)


def stages_of(args: argparse.Namespace, *, from_weights: bool) -> dict[str, tuple[Network, Stage]]:
    """Way -> what it trains and how. The images of the target are as many in each, in as many epochs."""
    network = Network(width=args.width, norm=True)
    of = {"budget": args.budget}
    learn = replace(config.PRETRAIN, epochs=EPOCHS, batch_size=BATCH, images_per_epoch=TARGET_IMAGES).scaled(**of)
    adapt, both = replace(learn, rules=config.DIFFERENTIAL), learn
    if from_weights:
        adapt = replace(config.PRESETS["critters"]["differential"], epochs=learn.epochs, images_per_epoch=TARGET_IMAGES)
        both = replace(adapt, rules=SHARED)
    later = Network() if from_weights else network
    learn, adapt, both = (replace(stage, keep_going=args.keep_going) for stage in (learn, adapt, both))
    return {
        "alone": (network, replace(learn, name="alone")),
        "sequential": (later, replace(adapt, name="sequential")),
        "multitask": (later, replace(both, name="multitask", batch_size=BATCH - SOURCE_BATCH)),
    }


def _one(
    way: str,
    args: argparse.Namespace,
    how: tuple[Network, Stage],
    target: ImageSets,
    source: ImageSets,
    *,
    weights: Weights | None,
    seed: int,
    workdir: Workdir,
) -> None:
    """Train one way with one seed, unless that has been done."""
    network, stage = how
    kept = workdir.kept(way, seed=seed)
    if kept["finished"] is not None:
        return
    log = {"on_epoch": lambda record, state: workdir.log(record), "progress": not args.quiet}
    options: dict[str, Any] = {"seed": seed, "dtype": jnp.dtype(args.dtype), **log}
    if way == "sequential" and weights:
        given = {"weights": weights, "store": workdir.features, "saver": kept["saver"]}
        trained = rung_lib.run(stage, network, target, **given, **options)
    elif way == "sequential":
        first = replace(stage, name="source", rules=config.TRAIN_ALL, images_per_epoch=SOURCE_IMAGES)
        saves = workdir.path / "progress" / f"source-seed{seed}"
        given = {"other": source, "savers": (Saver(saves), kept["saver"])}
        trained = multitask.in_turn(first, stage, network, target, **given, **options)
        shutil.rmtree(saves, ignore_errors=True)
    else:
        own_weight, weight = args.task_weight[::-1]
        other = multitask.Other(source, SOURCE_BATCH, config.PRETRAIN.augment, own_weight, weight)
        given = {"other": other, "weights": weights} if way == "multitask" else {"other": None}
        trained = multitask.run(stage, network, target, saver=kept["saver"], **given, **options)
    workdir.finish(way, trained, seed=seed, stage=stage, sets=target)


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__, experiment="multitask", size=config.PRETRAIN_SIZE)
    add = parser.add_argument
    add("--source", default="critters:source", metavar="SOURCE", help="the source task (critters:source)")
    weighs = "what the mean loss of either task weighs in the sum (1 1)"
    add("--task-weight", type=cli.fraction, nargs=2, default=[1.0, 1.0], metavar=("SOURCE", "TARGET"), help=weighs)
    add("--width", type=cli.fraction, default=config.CRITTERS_WIDTH, help="times VGG16's channels (%(default)s)")
    begins = "start from this base, pretrained on the source, in place of nothing; alone never does"
    add("--weights", metavar="FILE", help=begins)
    add("--seeds", type=cli.positive, default=3, metavar="N", help="how many seeds to run (3)")
    add("--seed", type=int, default=0, help="the first of them (0)")
    return parser


if __name__ == "__main__":
    cli.run(main)
