"""Train a base on a source task once and save it as a weights file with its preprocessing.

    tljax pretrain --data critters:source --out base.safetensors

64 % of twelve animals; 3 minutes on one core.

    tljax pretrain --data folder:SOURCE --batch 128 --budget 1.8 --out base.safetensors

22.7 % of 200 ImageNet classes, 250 images each, at 32 x 32; 40 minutes on one core.

    tljax pretrain --task language --data text:FOLDER --out language.safetensors
    tljax pretrain --data reviews.csv --weights language.safetensors --out tuned.safetensors

A causal transformer learns the next token of running text, then of another's, without labels.

By default a VGG16 with batch normalisation in place of biases, folded into plain kernels and biases
when it is saved: the file is an ordinary VGG16, for `--weights` of the other commands. `--base`
names another network.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp

from tljax.commands import cli, running
from tljax.commands.climb.onward import short
from tljax.commands.text import read as texts
from tljax.config import Stage, pretraining, sizes
from tljax.data.examples import Sets
from tljax.data.text import docstrings
from tljax.data.text.vocabulary import Vocabulary
from tljax.errors import InputError
from tljax.machine import processes
from tljax.models import build
from tljax.models.build import Network
from tljax.optim.schedules import WarmupCosine
from tljax.runs.base import load_base
from tljax.tasks.language import Language
from tljax.tasks.text import TEXT
from tljax.train.pretrain import pretrain
from tljax.train.source import Source
from tljax.weights import Weights


def main() -> None:
    """Run the command."""
    parser = cli.parser(
        __doc__, experiment="pretrain", source="critters:source", size=sizes.PRETRAIN
    )
    cli.base_option(parser)
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="go on from this base: a language model from the text it was trained on to another",
    )
    parser.add_argument(
        "--dropout",
        type=float,
        default=0.1,
        metavar="RATE",
        help="of a language model, after each branch of it (0.1)",
    )
    width = (
        f"times the channels of a base that has this option (VGG16: {pretraining.CRITTERS_WIDTH}); "
    )
    width += "of a language model, the channels"
    parser.add_argument("--width", type=cli.fraction, metavar="W", help=width)
    parser.add_argument(
        "--batch",
        type=cli.positive,
        metavar="N",
        help=f"batch size ({pretraining.IMAGES.batch_size})",
    )
    parser.add_argument(
        "--lr",
        type=cli.fraction,
        metavar="RATE",
        help=f"peak learning rate ({pretraining.RATE})",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="what is random follows from it (0)"
    )
    parser.add_argument(
        "--out", type=cli.path, metavar="FILE", help="the weights file (WORKDIR/base.safetensors)"
    )
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
    base = load_base(args.weights, progress=not args.quiet) if args.weights else None
    words = _reads_text(args, base)
    listeners = running.tracked(args, workdir=out.parent)
    sets = texts.source(args, base) if words else running.load(args, args.data, size=args.size)
    if processes.first():
        print(sets.counts(), flush=True)
    weights = pretrain(
        Source(sets, base, dtype=jnp.dtype(args.dtype), progress=not args.quiet),
        _stage(args, pretraining.LANGUAGE if words else pretraining.IMAGES),
        network=_network(args, sets, base),
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
    measure = sets.task.measures[0]
    told = f"{measure.shown(scores[measure.name])} of {scores['n']} validation images right"
    if not measure.proportion:
        told = f"{measure.name} {measure.shown(scores[measure.name])} in validation"
    print(f"{out}: {told}")
    if not args.quiet and not words:
        print(f"\ntljax features --data PHOTOS --weights {short(out)}    # photographs of yours")


def _reads_text(args: argparse.Namespace, base: Weights | None) -> bool:
    """Tell whether running text is to be read: by the task, the source, or the base."""
    told = args.task is None and texts.holds_texts(args.data)
    named = told or args.task in (Language.name, TEXT.name) or args.data == docstrings.SOURCE
    if named and args.data == "critters:source":
        args.data = docstrings.SOURCE
    tokens = base is not None and isinstance(base.preprocess, Vocabulary)
    if named and base is not None and not tokens:
        name = base.architecture.get("name")
        raise InputError(f"{args.weights}: expected a base of texts, found {name}")
    return named or tokens


def _network(args: argparse.Namespace, sets: Sets, weights: Weights | None) -> Network:
    if weights:
        return Network(*build.described(weights.architecture, source=weights.source))
    if isinstance(sets.task, Language):
        width = {"width": int(args.width)} if args.width else {}
        options = {"vocabulary": sets.task.vocabulary, "dropout": args.dropout, **width}
        return Network(pretraining.TEXT_BASE, build.checked(pretraining.TEXT_BASE, options))
    base = args.base or pretraining.CRITTERS_BASE
    options = dict(pretraining.CRITTERS_OPTIONS) if base == pretraining.CRITTERS_BASE else {}
    return Network(
        base, build.checked(base, options | ({"width": args.width} if args.width else {}))
    )


def _stage(args: argparse.Namespace, like: Stage) -> Stage:
    stage = replace(like, epochs=args.epochs or like.epochs)
    stage = replace(stage.scaled(budget=args.budget), skip_nonfinite=args.skip_nonfinite)
    if args.batch:
        stage = replace(stage, batch_size=args.batch)
    return replace(stage, lr=WarmupCosine(args.lr)) if args.lr else stage
