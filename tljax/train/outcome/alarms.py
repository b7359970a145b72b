"""Alarms on a finished stage's held-out examples: at chance, or surer than it is right."""

# pyright: strict
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from tljax import waiting
from tljax.machine import processes
from tljax.tasks.classification import CLASSIFICATION, Classification, predicted_classes
from tljax.tasks.task import Task
from tljax.train.outcome.collapse import Json

LIKELY = 0.05  # the p from which an accuracy may be chance
SURE = 1.645  # standard errors by which a loss is above the constant's: one-sided, at the same 5 %


Kind = Literal["at chance", "overconfident", "no better than a constant"]


@dataclass(frozen=True)
class Alarm:
    """Describe what is wrong with a finished stage.

    Accuracies are fractions, losses are nats an image.
    `share` is that of the most frequent validation class; `constant_loss` the validation loss of
    predicting the class frequencies. A stage that was `solved` had no epochs, rate or augmentation
    to advise on, and folds of its training examples chose how strongly it is held back.
    """

    kind: Kind
    accuracy: float | None  # with share and p, of classification alone
    share: float | None
    p: float | None
    images: int
    loss: float
    constant_loss: float
    training_loss: float
    solved: bool = False

    def line(self, *, stage: str, seed: int) -> str:
        """Say in one line which stage and seed, what is wrong, and what to do."""
        if self.kind == "at chance":
            why = self._chance()
        else:
            why = self._sure() if self.kind == "overconfident" else self._constant()
        return f"{stage}, seed {seed}: {self.kind}: {why}"

    def to_dict(self, *, stage: str, seed: int) -> Json:
        """Return the numbers, and the line as `said`, for results.json."""
        return {**asdict(self), "said": self.line(stage=stage, seed=seed)}

    def _constant(self) -> str:
        return (
            f"validation loss {self.loss:.3f}, where the best constant prediction has "
            f"{self.constant_loss:.3f}; {self._advice()}"
        )

    def _chance(self) -> str:
        assert self.accuracy is not None
        assert self.share is not None
        rate = f"{100 * self.accuracy:.1f} % of {self.images:,} in validation are right"
        share = (
            f"always answering the most frequent class gives {100 * self.share:.1f} % "
            f"(binomial p {self.p:.2f})"
        )
        return f"{rate}, {share}; {self._advice()}"

    def _advice(self) -> str:
        if self.solved:
            return (
                "folds of the training examples chose its penalty already: more examples, another "
                "base, or look at the labels"
            )
        if self.training_loss < 0.9 * self.constant_loss:
            return (
                f"training loss is {self.training_loss:.3f}: it memorises; "
                "more data or augmentation, fewer epochs"
            )
        return "train longer, at another --lr, or look at the labels"

    def _sure(self) -> str:
        assert self.accuracy is not None
        constant = f"answering the class frequencies has {self.constant_loss:.3f}"
        right = f"{100 * self.accuracy:.1f} % are right, but do not use its probabilities"
        advice = self._advice() if self.solved else "lower --lr, or scale the features"
        return f"validation loss {self.loss:.3f}, where {constant}; {right}; {advice}"


def alarm(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    training_loss: float,
    task: Task = CLASSIFICATION,
    solved: bool = False,
) -> Alarm | None:
    """Judge what is kept of validation examples against their labels; None if all is well.

    For classification, at chance: an accuracy that always answering the most frequent class reaches
    with a probability of 5 % or more (a binomial tail, one-sided). Overconfident: a mean loss that
    is clearly above the entropy of the labels' frequencies, the least loss of any constant
    prediction. Labels of one class cannot be judged. For other tasks, no better than a constant: a
    mean loss that is not clearly below the least of any constant prediction.
    """
    if not isinstance(task, Classification):
        return _against_constant(logits, labels, training_loss=training_loss, task=task)
    import scipy.stats

    shares = np.bincount(labels) / len(labels)
    if (share := float(shares.max())) == 1:
        return None
    right = int((predicted_classes(logits) == labels).sum())
    p = float(scipy.stats.binom.sf(right - 1, len(labels), share))
    losses, constant = task.kept_losses(logits, labels), -np.log(shares[labels])
    excess = losses - constant
    error = float(excess.std(ddof=1)) / len(labels) ** 0.5
    kind: Kind = "at chance" if p >= LIKELY else "overconfident"
    if kind == "overconfident" and not excess.mean() > SURE * error:
        return None
    accuracy, loss = right / len(labels), float(losses.mean())
    least = float(constant.mean())
    return Alarm(kind, accuracy, share, p, len(labels), loss, least, training_loss, solved)


def _against_constant(
    kept: np.ndarray, labels: np.ndarray, *, training_loss: float, task: Task
) -> Alarm | None:
    losses, constant = task.kept_losses(kept, labels), task.constant_losses(labels)
    excess = losses - constant
    error = float(excess.std(ddof=1)) / len(labels) ** 0.5 if len(labels) > 1 else 0.0
    if excess.mean() < -SURE * error:
        return None
    kind: Kind = "no better than a constant"
    loss, least = float(losses.mean()), float(constant.mean())
    return Alarm(kind, None, None, None, len(labels), loss, least, training_loss)


def say(alarm: Alarm, *, stage: str, seed: int) -> None:
    """Print the line, in the first process."""
    if processes.first():
        waiting.say(alarm.line(stage=stage, seed=seed))
