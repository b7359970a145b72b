"""Find the base that a run starts from: pretrained here where there is none, and looked at."""

import argparse
from dataclasses import replace

import jax.numpy as jnp

from tljax.commands import options, running
from tljax.commands.text import read as texts
from tljax.config import pretraining, sizes
from tljax.data import ImageSets
from tljax.data.examples import Sets
from tljax.data.preprocess import words
from tljax.machine import processes
from tljax.models.build import Network
from tljax.runs.workdir import Workdir
from tljax.tasks.text import TEXT
from tljax.train.pretrain import pretrain
from tljax.train.source import Source
from tljax.weights import Weights, check_preprocess, read


def source_of(
    args: argparse.Namespace, workdir: Workdir, sets: Sets, weights: Weights | None
) -> Source:
    """Return what all stages of a command start from."""
    return Source(
        sets, weights, store=workdir.features, dtype=jnp.dtype(args.dtype), progress=not args.quiet
    )


def look_at_preprocessing(workdir: Workdir, sets: Sets, weights: Weights) -> None:
    """Name the preprocessing, warn where it does not suit the base, and keep both for the page."""
    if not processes.first():
        return
    if not isinstance(sets, ImageSets):
        told = words(weights.preprocess)
        print(f"preprocessing: {told}", flush=True)
        workdir.note("preprocessing", {"used": sets.preprocess.identity, "told": told, "alarm": ""})
        return
    check = check_preprocess(weights, sets.train.inputs)
    print(
        f"WARNING: {check.alarm}" if check.alarm else f"preprocessing: {words(check.used)}",
        flush=True,
    )
    workdir.note("preprocessing", check.to_dict())


def pretrained(args: argparse.Namespace, workdir: Workdir) -> Weights:
    """Pretrain a base in the run's folder, and return it; a resumed run goes on, or reads it."""
    out, progress = workdir.path / "base.safetensors", workdir.path / "progress" / "base"
    if workdir.resumed and out.exists() and not progress.exists():
        return read(out)
    if args.task == TEXT.name:
        sets, like = texts.source(args, None), pretraining.LANGUAGE
    else:
        size = min(args.size, sizes.PRETRAIN)
        sets, like = running.load(args, "critters:source", size=size), pretraining.IMAGES
    stage = replace(like.scaled(budget=args.budget), skip_nonfinite=args.skip_nonfinite)
    if not workdir.resumed:
        out.unlink(missing_ok=True)  # of the run before: half of this one must not pass for a whole
    return pretrain(
        source_of(args, workdir, sets, None),
        stage,
        network=Network(*options.architecture_of(args)),
        seed=0,
        out=out,
        saves=progress,
        listeners=workdir.listeners,
    )
