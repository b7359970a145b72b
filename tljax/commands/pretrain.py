"""Train a base on a source task once and save it as a weights file with its preprocessing.

    tljax pretrain --data critters:source --out base.safetensors

64 % of twelve animals; 3 minutes on one core.

    tljax pretrain --data folder:SOURCE --batch 128 --budget 1.8 --out base.safetensors

22.7 % of 200 ImageNet classes, 250 images each, at 32 x 32; 40 minutes on one core.

A VGG16 with batch normalisation in place of biases, folded into plain kernels and biases when it is
saved: the file is an ordinary VGG16, for `--weights` of the other experiments.
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import jax
import jax.numpy as jnp

from tljax import config
from tljax.commands import cli
from tljax.data.preprocess import TORCH
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.machine import processes
from tljax.machine.provenance import environment
from tljax.models import build, vgg
from tljax.runs.workdir import Listener
from tljax.train import loop
from tljax.train.history import Record
from tljax.train.ready import Ready
from tljax.train.resume import Saver
from tljax.train.source import Source
from tljax.train.step import State
from tljax.weights import Weights, write


def pretrain(
    source: Source,
    stage: config.Stage,
    *,
    width: float,
    seed: int,
    out: Path,
    saves: Path,
    listeners: Sequence[Listener] = (),
) -> Weights:
    """Train a VGG16 of this width from nothing and write it after every epoch.

    `saves` holds checkpoints until training is done; training continues from those already there.
    """
    sets, dtype, size = source.sets, source.dtype, source.sets.size
    # It begins at random, where there is nothing to go back to.
    stage = replace(stage, keep_going=True)
    network = build.Network(width=width, norm=True, hidden=0)
    module = build.classifier(network, classes=len(sets.classes), dtype=dtype)
    variables = build.init(module, key=jax.random.key(seed), size=size)
    saved: list[Weights] = []

    def log(record: Record, state: State) -> None:
        for listener in listeners if processes.first() else ():
            listener(record)
        if record["epoch"] > 0:
            save(record, state)

    def save(record: Record, state: State) -> None:
        base = vgg.fold_norm(state.params["base"], state.model_state["batch_stats"]["base"])
        provenance = {
            "data": sets.name,
            "digest": sets.digest,
            "size": size,
            "seed": seed,
            "epochs": stage.epochs,
        }
        provenance |= {"record": record, "environment": environment()}
        architecture = {"name": "vgg16", "width": width}
        saved[:] = [Weights(jax.device_get(base), architecture, TORCH, sets.classes, provenance)]
        if not processes.first():
            return
        out.parent.mkdir(parents=True, exist_ok=True)
        write(out, saved[0])

    read = inputs.from_images(sets, augment=stage.augment, preprocess=TORCH)
    identity = {
        "stage": asdict(stage),
        "data": sets.digest,
        "size": size,
        "width": width,
        "seed": seed,
    }
    saver = Saver(saves, identity={**identity, "dtype": jnp.dtype(dtype).name})
    ready = Ready(module, variables, read, network, TORCH)
    state, history = loop.train_stage(
        stage, ready, seed=seed, on_epoch=log, saver=saver, progress=source.progress
    )
    if not saved:  # nothing was left to train
        save(history.epochs[-1], state)
    shutil.rmtree(saves, ignore_errors=True)
    return saved[0]


def main() -> None:
    """Run the command."""
    parser = cli.parser(
        __doc__, experiment="pretrain", source="critters:source", size=config.PRETRAIN_SIZE
    )
    parser.add_argument(
        "--width",
        type=cli.fraction,
        default=config.CRITTERS_WIDTH,
        help="times VGG16's channels (%(default)s)",
    )
    parser.add_argument(
        "--batch", type=cli.positive, help=f"batch size ({config.PRETRAIN.batch_size})"
    )
    parser.add_argument(
        "--lr", type=cli.fraction, help=f"peak learning rate ({config.PRETRAIN_RATE})"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of initialisation, order and augmentation (0)"
    )
    parser.add_argument("--out", type=cli.path, help="the weights file (WORKDIR/base.safetensors)")
    cli.log_option(parser)
    args = parser.parse_args()
    out = args.out or (args.workdir or Path("runs/pretrain")) / "base.safetensors"
    saves = out.with_name(f"{out.name}.progress")
    resume = args.resume or args.resume_anyway
    if saves.exists() and not resume:
        if not args.overwrite:
            raise InputError(
                f"{saves} holds a run; name another --out, or pass --overwrite or --resume"
            )
        shutil.rmtree(saves)
    if out.exists() and not args.overwrite and not (resume and saves.exists()):
        raise InputError(f"{out} exists; name another --out, or pass --overwrite")
    listeners = cli.tracked(args, workdir=out.parent)
    sets = cli.load(args, args.data, size=args.size)
    weights = pretrain(
        Source(sets, dtype=jnp.dtype(args.dtype), progress=not args.quiet),
        _stage(args),
        width=args.width,
        seed=args.seed,
        out=out,
        saves=saves,
        listeners=listeners,
    )
    for listener in listeners:
        listener.close()
    if not processes.first():
        return
    record = weights.provenance["record"]
    scores = record["validation"]
    print(f"{out}: {100 * scores['accuracy']:.1f} % of {scores['n']} validation images right")


def _stage(args: argparse.Namespace) -> config.Stage:
    stage = replace(config.PRETRAIN, epochs=args.epochs or config.PRETRAIN.epochs)
    stage = replace(stage.scaled(budget=args.budget), skip_nonfinite=args.skip_nonfinite)
    if args.batch:
        stage = replace(stage, batch_size=args.batch)
    return replace(stage, lr=config.WarmupCosine(args.lr)) if args.lr else stage
