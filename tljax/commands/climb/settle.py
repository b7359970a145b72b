"""Settle what a run trains before it begins: stages, their views, and how convolutions run."""

import argparse
from dataclasses import replace

import jax.numpy as jnp

from tljax.commands import options
from tljax.config import Stage
from tljax.data.examples import Sets
from tljax.inputs import views
from tljax.machine import lowering, processes
from tljax.models import winograd
from tljax.models.build import Network
from tljax.runs.workdir import Workdir
from tljax.tasks.classification import Classification

Stages = dict[str, tuple[Network, Stage]]


def stages(
    stages: Stages, args: argparse.Namespace, sets: Sets, *, most_views: int | None
) -> Stages:
    """Give stages their class weights and a number of views, `most_views` where they left it open.

    Those that the task does not have are left out, with a line.
    """
    return {
        name: (
            network,
            _with_views(
                options.weighted(stage, args, sets.classes),
                network,
                sets,
                dtype=jnp.dtype(args.dtype),
                most_views=most_views,
            ),
        )
        for name, (network, stage) in _trainable(stages, sets).items()
    }


def lowered(
    args: argparse.Namespace, workdir: Workdir, networks: list[Network], sets: Sets
) -> winograd.Shapes:
    """Return the convolutions that Winograd's way computes: a resumed run's own, else measured."""
    if workdir.resumed:
        return workdir.by_winograd()
    if args.lowering == "direct" or args.deterministic:
        return winograd.NONE
    return lowering.measured(
        networks, sets.spec, task=sets.task, dtype=args.dtype, progress=not args.quiet
    )


def _trainable(stages: Stages, sets: Sets) -> Stages:
    """Leave out what is solved where there is more to train: only a classification is solved."""
    solved = [name for name, (_, stage) in stages.items() if stage.solver != "steps"]
    if isinstance(sets.task, Classification) or len(solved) == len(stages):
        return stages
    if solved and processes.first():
        print(f"{', '.join(solved)}: left out: only a classification is solved", flush=True)
    return {name: pair for name, pair in stages.items() if name not in solved}


def _with_views(
    stage: Stage,
    network: Network,
    sets: Sets,
    *,
    dtype: jnp.dtype,
    most_views: int | None,
) -> Stage:
    stage, line = views.settled(stage, network, sets, dtype=dtype)
    if line and most_views and isinstance(stage.views, int) and stage.views > most_views:
        line = f"{most_views} augmented views of each photograph"
        line = f"{stage.name}: {sets.task.worded(line)}"
        stage = replace(stage, views=most_views)
    if line and processes.first():
        print(line, flush=True)
    return stage
