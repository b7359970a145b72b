"""Recognise a stage that collapsed from its records alone: a resumed stage is judged the same."""

# pyright: strict
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tljax import waiting
from tljax.config import Stage
from tljax.inputs.images import Inputs
from tljax.machine import processes
from tljax.optim import schedules
from tljax.tasks.classification import CLASSIFICATION, Classification
from tljax.tasks.known import named
from tljax.tasks.task import Task

Json = dict[str, Any]  # a document of plain JSON
Record = Json  # of an epoch, as in metrics.jsonl

CLEAR = 1e-3  # the p below which a stage began better than chance, or fell
LIKELY = 0.05  # and that from which an accuracy may be chance
NEAR = 0.99  # of the constant's loss: an epoch draws the classes a little more or less often
EPOCHS = 2  # as good as constant for so many, a stage that began better is ended


@dataclass(frozen=True)
class Chance:
    """Hold the scores of a constant prediction.

    `loss` is its training loss under the stage's objective, `share` its validation accuracy. For
    tasks that have no such share it is None, and `held` is its validation loss.
    """

    loss: float
    share: float | None
    held: float = math.nan
    task: Task = CLASSIFICATION


@dataclass(frozen=True)
class Collapse:
    """Describe what went wrong in a stage.

    `learnt_nothing` if no epoch was clearly better than chance; else it lost what it had. With
    `constant`, the training loss was that of a constant prediction from `epoch` on; else validation
    had fallen there. The stage ended with epoch `last`; `back_to` is the epoch whose state was
    returned, None if the last one was kept.
    """

    learnt_nothing: bool
    constant: bool
    epoch: int
    training_loss: float
    constant_loss: float
    score: float  # the one that the task watches, at the end, and at the start
    start_score: float
    peak_rate: float
    last: int
    back_to: int | None
    task: str = CLASSIFICATION.name

    def line(self, *, stage: str, seed: int) -> str:
        """Say in one line which stage, seed, epoch and rate, what happened, and what to do."""
        shown = named(self.task).measures[0].shown
        what = "learnt nothing" if self.learnt_nothing else "collapsed"
        why = (
            f"validation fell from {shown(self.start_score)} "
            f"to {shown(self.score)} at epoch {self.epoch}"
        )
        if self.constant:
            since = f"training loss {self.training_loss:.3f} from epoch {self.epoch} on"
            why = f"{since} is that of a constant prediction"
            if self.training_loss > self.constant_loss / NEAR:
                why = f"{since} is above that of a constant prediction, {self.constant_loss:.3f}"
        advice = (
            "train longer, at another --lr, or look at the labels"
            if self.learnt_nothing
            else "lower --lr, or warm up longer"
        )
        rate = f"peak rate {self.peak_rate:.0e}"
        return f"{stage}, seed {seed}: {what}: {why} ({rate}); {self._done()}; {advice}"

    def to_dict(self, *, stage: str, seed: int) -> Json:
        """Return the numbers, and the line as `said`, for results.json."""
        return {**asdict(self), "said": self.line(stage=stage, seed=seed)}

    def _done(self) -> str:
        if self.back_to is None:
            return f"kept epoch {self.last} all the same"
        if self.learnt_nothing and self.back_to == 0:
            return (
                "kept epoch 0, its untrained start: do not use what it predicts "
                "(--keep-going keeps the last)"
            )
        return f"went back to epoch {self.back_to} (--keep-going keeps the last)"


def chance(stage: Stage, inputs: Inputs) -> Chance:
    """Compute the scores of a constant prediction on the labels that the stage reads."""
    train, held, task = inputs.train.labels, inputs.validation.labels, inputs.task
    weights = stage.objective.class_weights
    if not isinstance(task, Classification):
        classes = len(inputs.classes)
        loss = task.constant_loss(train, stage.objective, classes=classes)
        return Chance(loss, None, held=task.constant_loss(held, classes=classes), task=task)
    classes = max(
        int(train.max()) + 1,
        int(held.max()) + 1,
        2,
        len(weights) if isinstance(weights, tuple) else 0,
    )
    share = float(np.bincount(held).max() / len(held))
    return Chance(task.constant_loss(train, stage.objective, classes=classes), share, task=task)


def better(record: Record, than: Record | None, chance: Chance) -> bool:
    """Tell whether an epoch is better to return to: by the watched score, then by loss.

    An epoch as good as constant is not: a dead network scores like a fresh head, and hardly learns
    any more. After a frozen rung at 3,000 times its rate, fine-tuning reached 62 % from there, and
    76 % from the start (critters, 2 seeds).
    """
    if than is None:
        return True
    task = chance.task
    return _score(record, task) > _score(than, task) and not _constant(record, chance)


def hopeless(records: Sequence[Record], chance: Chance) -> bool:
    """Tell whether to end a stage that is running.

    It is ended if it began clearly better than chance, and has been as good as constant for two
    whole epochs. One that began at chance is judged at its end: it may take its time.
    """
    trained = [record for record in records if record["epoch"] > 0]
    if len(trained) == len(records) or len(trained) < EPOCHS:  # without its start, nothing is known
        return False
    return _above(records[0], chance) and all(
        _constant(record, chance) for record in trained[-EPOCHS:]
    )


def judged(
    records: Sequence[Record], end: Record, chance: Chance, *, stage: Stage, back_to: int | None
) -> Collapse | None:
    """Judge a stage that ends with the epoch `end`; None if it is healthy.

    `records` are its epochs from epoch 0 on. It has collapsed if its end is as good as constant,
    or, for a stage that began clearly better than chance, if the validation accuracy of its end is
    clearly below that of its start.
    """
    start = records[0]
    trained = [record for record in records if 0 < record["epoch"] <= end["epoch"]]
    if start["epoch"] != 0 or not trained:
        return None
    began, constant = _above(start, chance), _constant(end, chance)
    lost = fell(start, end) if chance.share is not None else _worse(start, end, chance)
    if not (constant or (began and lost)):
        return None
    since = end["epoch"]
    while constant and since > 1 and _constant(trained[since - 2], chance):
        since -= 1
    return Collapse(
        learnt_nothing=not began and not any(_above(record, chance) for record in trained),
        constant=constant,
        epoch=since,
        training_loss=end["train"]["loss"],
        constant_loss=chance.loss,
        score=end["validation"][chance.task.monitor],
        start_score=start["validation"][chance.task.monitor],
        peak_rate=_peak(stage, steps=end["step"], per_epoch=end["step"] // end["epoch"]),
        last=end["epoch"],
        back_to=back_to,
        task=chance.task.name,
    )


def fell(start: Record, end: Record) -> bool:
    """Tell whether fewer images are right at the end than chance explains.

    Fisher's exact test, one-sided, at 0.1 % (Fisher 1922, J. R. Stat. Soc. 85:87-94). It treats the
    two evaluations as draws of different images; on the same ones they vary together, so it errs
    towards no fall. McNemar's test would be sharper, but needs every image's outcome at the start,
    where this needs the records alone.
    """
    import scipy.stats

    (before, n), (after, _) = _right(start), _right(end)
    return (
        after < before and float(scipy.stats.hypergeom.cdf(after, 2 * n, before + after, n)) < CLEAR
    )


def _worse(start: Record, end: Record, chance: Chance) -> bool:
    """Tell whether a stage ends no better than a constant, and scores worse than it began."""
    task = chance.task
    scores = [task.rank(record["validation"]) for record in (start, end)]
    return scores[1] < scores[0] and not _above(end, chance)


def say(collapse: Collapse, *, stage: str, seed: int) -> None:
    """Print the line, in the first process."""
    if processes.first():
        waiting.say(collapse.line(stage=stage, seed=seed))


def _constant(record: Record, chance: Chance) -> bool:
    """Tell whether an epoch is as good as a constant prediction, by loss and by accuracy.

    By loss alone a network that is sure and mostly right would be, too. No epoch is if all
    validation images are of one class: there the constant is always right.
    """
    lost = record["train"]["loss"] >= NEAR * chance.loss and chance.share != 1
    return lost and not _above(record, chance, level=LIKELY)


def _above(record: Record, chance: Chance, *, level: float = CLEAR) -> bool:
    """Tell whether validation is better than always answering the most frequent class.

    By the binomial tail, one-sided; without a share by the loss.
    """
    if chance.share is None:
        return record["validation"]["loss"] < NEAR * chance.held
    import scipy.stats

    right, n = _right(record)
    return float(scipy.stats.binom.sf(right - 1, n, chance.share)) < level


def _right(record: Record) -> tuple[int, int]:
    scores = record["validation"]
    return round(scores["accuracy"] * scores["n"]), scores["n"]


def _score(record: Record, task: Task) -> tuple[float, float]:
    score, loss = task.rank(record["validation"]), record["validation"]["loss"]
    return score, -loss if math.isfinite(loss) else -math.inf


def _peak(stage: Stage, *, steps: int, per_epoch: int) -> float:
    """Return the highest rate of the first steps of a stage."""
    if stage.lr == "find":
        return math.nan
    rate = schedules.resolve(stage.lr, steps=stage.epochs * per_epoch)
    return max(rate(step) for step in range(steps))
