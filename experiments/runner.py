"""Runs rungs of the ladder, one after another and seed after seed, and leaves the files that tell about it."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from experiments import cli
from experiments.pretrain import pretrain
from tljax import config, report
from tljax.config import Stage
from tljax.data import ImageSets
from tljax.errors import InputError
from tljax.models.build import Network
from tljax.train import rung as rung_lib
from tljax.train.workdir import Workdir, scaled
from tljax.weights import Weights, read


def main(doc: str | None, *, experiment: str, rungs: tuple[str, ...]) -> None:
    """The command of an experiment: parse, load, train, report."""
    args = _parser(doc, experiment).parse_args()
    progress = not args.quiet
    stages = {name: (_network(name, args.size), _stage(name, args)) for name in rungs}
    weights = read(args.weights) if args.weights else None
    workdir = Workdir(args.workdir or Path("runs") / experiment, overwrite=args.overwrite)
    sets = cli.load(args, args.data, size=args.size)
    baseless = weights is None and any(network.base == "vgg16" for network, _ in stages.values())
    if baseless and args.data != "critters":
        raise InputError(
            f"--weights: {args.data} needs a pretrained base; make one with python -m experiments.pretrain"
        )
    print(_about(sets), flush=True)
    workdir.begin(arguments=vars(args), stages=stages, sets=sets)
    if baseless:
        weights = _pretrained(args, out=workdir.path / "base.safetensors")
    for seed in range(args.seed, args.seed + args.seeds):
        climb(
            stages,
            sets,
            weights=weights,
            seed=seed,
            workdir=workdir,
            dtype=jnp.dtype(args.dtype),
            progress=progress,
        )
    written = report.write_report(workdir.path)
    print("\n" + report.text_table(report.read_results(workdir.path / "results.json")))
    print(f"\n{written[-1]}")


def climb(
    stages: dict[str, tuple[Network, Stage]],
    sets: ImageSets,
    *,
    weights: Weights | None,
    seed: int,
    workdir: Workdir,
    dtype: Any = jnp.float32,
    progress: bool = True,
) -> dict[str, rung_lib.Trained]:
    """Train the rungs in order with one seed, each from the rung it builds on where it builds on one."""
    done: dict[str, rung_lib.Trained] = {}
    for name, (network, stage) in stages.items():
        done[name] = rung_lib.run(
            stage,
            network,
            sets,
            seed=seed,
            store=workdir.features,
            weights=weights,
            before=done.get(config.STARTS_FROM.get(name, "")),
            dtype=dtype,
            on_epoch=lambda record, state: workdir.log(record),
            progress=progress,
        )
        workdir.finish(name, done[name], seed=seed, stage=stage, sets=sets)
    return done


def _parser(doc: str | None, experiment: str) -> argparse.ArgumentParser:
    parser = cli.parser(doc, experiment=experiment)
    add = parser.add_argument
    add(
        "--weights",
        type=Path,
        metavar="FILE",
        help="the pretrained base (on critters: pretrained first if not given)",
    )
    add("--seeds", type=cli.positive, default=1, metavar="N", help="how many seeds to run (1)")
    add("--seed", type=int, default=0, help="the first of them (0)")
    add("--preset", choices=sorted(config.PRESETS), default="tuned", help="rates and lengths (tuned)")
    views = "augmented views of each photograph through the frozen prefix, 0 for fresh ones at each step (the preset's)"
    add("--views", type=int, metavar="K", help=views)
    return parser


def _network(name: str, size: int) -> Network:
    network = config.NETWORKS[name]
    return replace(network, padding="SAME") if size < config.CNN_VALID_SIZE else network


def _stage(name: str, args: argparse.Namespace) -> Stage:
    stage = scaled(config.PRESETS[args.preset][name], budget=args.budget)
    if args.views is None or name not in ("frozen", "finetune"):
        return stage
    return replace(stage, views=args.views or None)


def _pretrained(args: argparse.Namespace, *, out: Path) -> Weights:
    source = cli.load(args, "critters:source", size=min(args.size, config.PRETRAIN_SIZE))
    stage = scaled(config.PRETRAIN, budget=args.budget)
    dtype, width = jnp.dtype(args.dtype), config.CRITTERS_WIDTH
    return pretrain(source, stage, width=width, seed=0, out=out, dtype=dtype, progress=not args.quiet)


def _about(sets: ImageSets) -> str:
    counts = f"{len(sets.train.labels)} training and {len(sets.validation.labels)} validation images"
    skipped = f", {len(sets.skipped)} corrupt ones left out" if sets.skipped else ""
    side = sets.train.images.shape[1]
    return f"{sets.name}: {', '.join(sets.classes)}; {counts} of {side} x {side}{skipped}"
