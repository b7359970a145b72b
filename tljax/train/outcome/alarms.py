"""Alarms on a finished stage's held-out images: at chance, or surer than it is right."""

# pyright: strict
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from tljax import waiting
from tljax.machine import processes
from tljax.train.logits import image_losses, predicted_classes
from tljax.train.outcome.collapse import Json

LIKELY = 0.05  # the p from which an accuracy may be chance
SURE = 1.645  # standard errors by which a loss is above the constant's: one-sided, at the same 5 %


@dataclass(frozen=True)
class Alarm:
    """Describe what is wrong with a finished stage.

    Accuracies are fractions, losses are nats an image.
    `share` is that of the most frequent validation class; `constant_loss` the validation loss of
    predicting the class frequencies.
    """

    kind: Literal["at chance", "overconfident"]
    accuracy: float
    share: float
    p: float
    images: int
    loss: float
    constant_loss: float
    training_loss: float

    def line(self, *, stage: str, seed: int) -> str:
        """Say in one line which stage and seed, what is wrong, and what to do."""
        return f"{stage}, seed {seed}: {self.kind}: " + (
            self._chance() if self.kind == "at chance" else self._sure()
        )

    def to_dict(self, *, stage: str, seed: int) -> Json:
        """Return the numbers, and the line as `said`, for results.json."""
        return {**asdict(self), "said": self.line(stage=stage, seed=seed)}

    def _chance(self) -> str:
        rate = f"{100 * self.accuracy:.1f} % of {self.images:,} validation images are right"
        share = (
            f"always answering the most frequent class gives {100 * self.share:.1f} % "
            f"(binomial p {self.p:.2f})"
        )
        advice = "train longer, at another --lr, or look at the labels"
        if self.training_loss < 0.9 * self.constant_loss:
            advice = (
                f"training loss is {self.training_loss:.3f}: it memorises; "
                "more images or augmentation, fewer epochs"
            )
        return f"{rate}, {share}; {advice}"

    def _sure(self) -> str:
        constant = f"answering the class frequencies has {self.constant_loss:.3f}"
        advice = (
            f"{100 * self.accuracy:.1f} % are right, but do not use its probabilities; "
            "lower --lr, or scale the features"
        )
        return f"validation loss {self.loss:.3f}, where {constant}; {advice}"


def alarm(logits: np.ndarray, labels: np.ndarray, *, training_loss: float) -> Alarm | None:
    """Judge validation logits `[N, outputs]` against `labels` `[N]` int32; None if all is well.

    At chance: an accuracy that always answering the most frequent class reaches with a probability
    of 5 % or more (a binomial tail, one-sided). Overconfident: a mean loss that is clearly above
    the entropy of the labels' frequencies, the least loss of any constant prediction. Labels of one
    class cannot be judged.
    """
    import scipy.stats

    shares = np.bincount(labels) / len(labels)
    if (share := float(shares.max())) == 1:
        return None
    right = int((predicted_classes(logits) == labels).sum())
    p = float(scipy.stats.binom.sf(right - 1, len(labels), share))
    losses, constant = image_losses(logits, labels), -np.log(shares[labels])
    excess = losses - constant
    error = float(excess.std(ddof=1)) / len(labels) ** 0.5
    kind: Literal["at chance", "overconfident"] = "at chance" if p >= LIKELY else "overconfident"
    if kind == "overconfident" and not excess.mean() > SURE * error:
        return None
    accuracy, loss = right / len(labels), float(losses.mean())
    return Alarm(kind, accuracy, share, p, len(labels), loss, float(constant.mean()), training_loss)


def say(alarm: Alarm, *, stage: str, seed: int) -> None:
    """Print the line, in the first process."""
    if processes.first():
        waiting.say(alarm.line(stage=stage, seed=seed))
