"""Cross-validation of a head on cached features: every fold of every seed in as few programs as fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jax.sharding import Mesh

from tljax.config import Stage
from tljax.errors import InputError
from tljax.train.inputs import Inputs
from tljax.train.sweep_kept import Kept
from tljax.train.sweep_members import Member
from tljax.train.sweep_plan import SweepPlan
from tljax.train.sweep_run import run_members


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


def stratified(labels: np.ndarray, *, k: int, seed: int) -> np.ndarray:
    """The fold of each example, `[N]` int32 from 0 to k - 1: each class is dealt out in turn, in a seeded order.

    Folds differ by one example at most, and so does what they have of each class. k = N leaves one out.
    InputError unless 2 <= k <= N.
    """
    count = len(labels)
    if not 2 <= k <= count:
        raise InputError(f"folds: expected from 2 to {count}, one for each example, found {k}")
    order = np.random.Generator(np.random.Philox(key=[seed, 0xF0])).permutation(count)
    dealt = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(count, np.int32)
    fold[dealt] = np.arange(count) % k
    return fold


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
