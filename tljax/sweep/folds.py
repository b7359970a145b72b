"""Cross-validation of a head on cached features: every fold of every seed in few programs."""

# pyright: strict

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jax.sharding import Mesh

from tljax.config import Stage
from tljax.data.folds import stratified
from tljax.errors import InputError
from tljax.sweep.finished_calls import Kept
from tljax.sweep.members import Member
from tljax.sweep.memory_plan import SweepPlan
from tljax.sweep.run import run_members
from tljax.train.ready import Ready


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """`logits` `[seeds, N, outputs]` float32 of each training example, by the run that held it out.

    `fold` `[N]` is the fold that held it out; `labels` `[N]`.
    """

    logits: np.ndarray
    labels: np.ndarray
    fold: np.ndarray
    seeds: tuple[int, ...]
    plan: SweepPlan


def cross_validate(
    stage: Stage,
    ready: Ready | Callable[[int], Ready],
    *,
    k: int,
    seeds: Sequence[int] = (0,),
    over: Mesh | None = None,
    most: int | None = None,
    kept: Kept | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> CrossValidation:
    """Train `k` times a seed, each without one fold, and judge each run on the fold it never saw.

    `ready` is what all start from, or a function of the seed that gives it
    (`heads_of_seeds.starts`). A run is `loop.train_stage` on its part of the training set, all with
    as many steps. The folds depend on the first seed alone, so that seeds can be compared. With
    `kept`, finished calls are kept on disk, as in `sweep`. InputError where training examples are
    augmented views: what is held out must be the photograph itself.
    """
    if not seeds:
        raise InputError("folds: expected a seed or more")
    readies = {seed: ready(seed) if callable(ready) else ready for seed in seeds}
    inputs = readies[seeds[0]].inputs
    if inputs.train.views != 1 or stage.augment is not None:
        raise InputError(
            f"folds: stage {stage.name!r}: expected plain features, found augmented ones; "
            "take one view"
        )
    labels = inputs.train.labels
    fold = stratified(labels, k=k, seed=seeds[0])
    every = np.arange(len(labels), dtype=np.int32)
    parts = [(every[fold != i], every[fold == i]) for i in range(k)]
    if stage.images_per_epoch is None:
        stage = replace(stage, images_per_epoch=min(len(train) for train, _ in parts))
    members = [Member(seed, {}, readies[seed], *part) for seed in seeds for part in parts]
    runs, plan = run_members(stage, members, over=over, most=most, kept=kept, tell=tell)
    logits = np.empty((len(seeds), len(labels), runs[0].logits.shape[-1]), np.float32)
    for number, (run, member) in enumerate(zip(runs, members, strict=True)):
        if not run.finite:
            where = f"stage {stage.name!r}: the loss of fold {number % k}"
            raise InputError(f"{where} is not finite; lower the rate")
        logits[number // k, member.held] = run.logits
    return CrossValidation(logits, labels, fold, tuple(seeds), plan)
