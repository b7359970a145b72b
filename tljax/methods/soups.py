"""Soups: the mean of the parameters of several fine-tunings of one classifier.

Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves
accuracy without increasing inference time", arXiv 2203.05482.
"""

# pyright: strict

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from tljax.config import Stage
from tljax.data.augment import Augment, Photometric
from tljax.errors import InputError
from tljax.methods.judge import Judge, is_right, mean_of
from tljax.train import program, rung
from tljax.train.outcome.trained import Trained
from tljax.train.ready import Ready

Accuracy = Callable[[Sequence[int]], float]  # of the mean of the chosen ingredients


def ingredients(
    stages: Sequence[Stage], ready: Ready, *, orders: Sequence[int], progress: bool
) -> Iterator[Trained]:
    """Train each stage with each order of the photographs, all from what `ready` starts from.

    Stages differ in their rates alone: they share one compiled program.
    """
    name = stages[0].name
    shared = program.ahead({name: (stages[0], ready)})[name]
    for stage in stages:
        for order in orders:
            yield rung.run(stage, ready, seed=order, program=shared, progress=progress)


def greedy(singles: Sequence[float], accuracy: Accuracy) -> list[int]:
    """Choose the ingredients of the greedy soup, recipe 1 of the paper.

    From the best single one on, each is added if the accuracy of the mean does not fall. `singles`
    are the accuracies of the ingredients alone.
    """
    order: list[int] = np.argsort(-np.asarray(singles), kind="stable").tolist()
    chosen, best = [order[0]], singles[order[0]]
    for each in order[1:]:
        found = accuracy([*chosen, each])
        if found >= best:
            chosen, best = [*chosen, each], found
    return sorted(chosen)


def recipes(
    judge: Judge,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    members: Sequence[int],
    places: np.ndarray,
) -> tuple[int, list[int]]:
    """Choose among members by accuracy on some photographs: (the best single, the greedy soup).

    `members` and what is returned are numbers of the judge's classifiers.
    """
    parts = judge.activations(images[places])

    def accuracy(chosen: Sequence[int]) -> float:
        weights = mean_of(judge.count, [members[i] for i in chosen])
        return float(
            is_right(judge.onward(parts, weights[None])[:, : len(places)], labels[places]).mean()
        )

    singles = [accuracy([i]) for i in range(len(members))]
    return members[int(np.argmax(singles))], [members[i] for i in greedy(singles, accuracy)]


def augmented(stage: Stage) -> list[Stage]:
    """Return the stage as it augments, and with photometric augmentation, or without where it has.

    InputError for a stage that does not warp photographs.
    """
    ours = stage.augment
    if not isinstance(ours, Augment):
        raise InputError(f"stage {stage.name!r}: expected one that augments photographs")
    other = None if ours.photometric else Photometric()
    return [stage, replace(stage, augment=replace(ours, photometric=other))]


def at_rates(stage: Stage, rates: Sequence[float]) -> list[Stage]:
    """Return the stage at each peak rate."""
    lr = stage.lr
    if isinstance(lr, float | int) or lr == "find":
        return [replace(stage, lr=rate) for rate in rates]
    return [replace(stage, lr=replace(lr, peak=rate)) for rate in rates]  # type: ignore[call-arg]
