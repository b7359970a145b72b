"""Cross-validation of a head on cached features: every fold of every seed in as few programs as fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jax.sharding import Mesh

from tljax.config import Stage
from tljax.data.folds import stratified
from tljax.errors import InputError
from tljax.inputs.images import Inputs
from tljax.sweep.finished_calls import Kept
from tljax.sweep.members import Member
from tljax.sweep.memory_plan import SweepPlan
from tljax.sweep.run import run_members


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """`logits` `[seeds, N, outputs]` float32: each training example's, by the run that held it out.

    `fold` `[N]` says which fold held it. `labels` `[N]`.
    """

    logits: np.ndarray
    labels: np.ndarray
    fold: np.ndarray
    seeds: tuple[int, ...]
    plan: SweepPlan


def cross_validate(
    stage: Stage,
    *,
    module: Any,
    variables: Callable[[int], dict[str, Any]],
    inputs: Inputs,
    k: int,
    seeds: Sequence[int] = (0,),
    over: Mesh | None = None,
    most: int | None = None,
    kept: Kept | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> CrossValidation:
    """Train `k` times a seed, each without one fold of the training set, and ask each run about what it never saw.

    `variables(seed)` are the first ones (`sweep_start.starts`). A run is `loop.train_stage` on its part of the training
    set, all with as many steps. The folds depend on the first seed alone, so that seeds can be compared. InputError
    where training examples are augmented views: what is held out must be the photograph itself. `kept` as in a sweep.
    """
    if inputs.train.views != 1 or stage.augment is not None:
        raise InputError(f"folds: stage {stage.name!r}: expected plain features, found augmented ones; take one view")
    if not seeds:
        raise InputError("folds: expected a seed or more")
    labels = inputs.train.labels
    fold = stratified(labels, k=k, seed=seeds[0])
    every = np.arange(len(labels), dtype=np.int32)
    parts = [(every[fold != i], every[fold == i]) for i in range(k)]
    if stage.images_per_epoch is None:
        stage = replace(stage, images_per_epoch=min(len(train) for train, _ in parts))
    first = {seed: variables(seed) for seed in seeds}
    members = [Member(seed, {}, first[seed], inputs, train, held) for seed in seeds for train, held in parts]
    runs, plan = run_members(stage, members, module=module, over=over, most=most, kept=kept, tell=tell)
    logits = np.empty((len(seeds), len(labels), runs[0].logits.shape[-1]), np.float32)
    for at, (run, member) in enumerate(zip(runs, members, strict=True)):
        if not run.finite:
            raise InputError(f"stage {stage.name!r}: the loss of fold {at % k} is not finite; lower the rate")
        logits[at // k, member.held] = run.logits
    return CrossValidation(logits, labels, fold, tuple(seeds), plan)
