"""A stretch of training as data, and stages one after another. A variant is a new value."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal

from tljax.data.augment import Augmentation
from tljax.errors import InputError
from tljax.optim.objective import PLAIN, Objective
from tljax.optim.rules import Rules, multipliers
from tljax.optim.schedules import Schedule
from tljax.optim.transform import Optimizer

TRAIN_ALL: Rules = ((".*", 1.0),)
HEAD_ONLY: Rules = (("head/.*", 1.0), ("base/.*", None))
KERAS3_RMSPROP = Optimizer()
MOST_VIEWS = 16  # for "auto"; beyond it, as accurate as fresh augmentation (experiments/views.py)
CHECKPOINT_SECONDS = 30.0  # least time between two checkpoints of a stage; its end is always saved


@dataclass(frozen=True)
class Stage:
    """One stretch of training with one set of rules.

    An epoch draws `images_per_epoch` images, cycling through the shuffled training set as often as
    needed; None means one full pass, and at least `least_images`. `views=None` augments again at
    every draw. A number K runs the frozen prefix once on K augmented views of each photograph and
    trains from those (1 without augmentation: the plain features). View k is the augmentation that
    pass k would have drawn, for every seed: with as many views as passes the result equals fresh
    augmentation, only faster, and more are never computed. "auto" takes as many as memory holds,
    `MOST_VIEWS` at most. Activations are stored in `features_dtype`, by default the dtype of the
    computation. `lr="find"` takes the rate that the range test suggests.

    `patience` N ends the stage when the validation loss has not improved for N epochs (after
    `epochs` at the latest) and restores the best epoch, or the one `step_back` epochs before the
    end: parameters, optimizer state and position in the data. `ema` is the decay of a moving
    average of the parameters, which evaluation and the result use. `solver="lbfgs"` fits a head
    without a hidden layer to plain features with `train.linear`. It takes no steps and ignores
    rates, lengths and optimizer; the batch size is then that of the frozen base's passes and of the
    evaluation. `skip_nonfinite` skips and counts steps whose loss or gradient is not finite; by
    default the first such step ends the run. `keep_going` trains a stage that collapses to its end
    and keeps the result; by default it is restored to its best epoch. `statistics="moving"` lets
    batch normalisation in frozen layers use and update the statistics of the batch, as Keras does
    with `training=True`; by default they are held, with the bits of the weights file.
    """

    name: str
    rules: Rules
    lr: float | Schedule | Literal["find"]
    epochs: int
    optimizer: Optimizer = KERAS3_RMSPROP
    batch_size: int = 32
    images_per_epoch: int | None = None
    least_images: int = 1
    augment: Augmentation | None = None
    views: int | Literal["auto"] | None = None
    features_dtype: Literal["float32", "bfloat16"] | None = None
    dropout: float | Schedule = 0.0
    augment_strength: float | Schedule = 1.0  # times the ranges of `augment`
    objective: Objective = PLAIN
    patience: int | None = None
    step_back: int | None = None
    ema: float | None = None
    skip_nonfinite: bool = False
    solver: Literal["steps", "lbfgs"] = "steps"
    keep_going: bool = False
    statistics: Literal["held", "moving"] = "held"

    def __post_init__(self) -> None:
        for field, right, expected in chain(_counts(self), _values(self), _solved(self)):
            if not right:
                value = getattr(self, field)
                raise InputError(f"stage {self.name!r}: {field} must be {expected}, found {value}")

    def steps_per_epoch(self, train_images: int) -> int:
        """Return the number of optimizer steps in an epoch over a training set of this size."""
        images = self.images_per_epoch or max(train_images, self.least_images)
        return max(1, round(images / self.batch_size))

    def passes(self, train_images: int) -> int:
        """Count the passes over a training set of this size, including one that is only begun.

        >>> Stage("s", TRAIN_ALL, lr=1e-3, epochs=2, images_per_epoch=320).passes(96)
        7
        """
        return math.ceil(
            self.epochs * self.steps_per_epoch(train_images) * self.batch_size / train_images
        )

    def scaled(self, *, budget: float) -> "Stage":
        """Return the stage with this fraction of its epochs, at least one."""
        return replace(self, epochs=max(1, round(self.epochs * budget)))


# A field of a stage, whether its value is right, and what it must be. Checks are made in order and
# end at the first that is wrong: a later one may rely on an earlier one.
Check = tuple[str, bool, str]


def _counts(stage: Stage) -> Iterator[Check]:
    """Check the whole numbers."""
    lengths = ("epochs", "batch_size", "images_per_epoch", "least_images")
    for field in (*lengths, "views", "patience", "step_back"):
        value = getattr(stage, field)
        auto = field == "views" and value == "auto"
        right = value is None or auto or (not isinstance(value, str) and value >= 1)
        yield field, right, "1 or more"


def _values(stage: Stage) -> Iterator[Check]:
    """Check kinds, dtype, rates and fractions, and the fields that depend on another."""
    kinds: tuple[tuple[str, Any, str], ...] = (
        ("optimizer", Optimizer, "tljax's own Optimizer, such as Optimizer('adamw')"),
        ("objective", Objective, "tljax's own Objective"),
        ("augment", Augmentation | None, "tljax's own Augment or None"),
    )
    for field, kind, expected in kinds:
        yield field, isinstance(getattr(stage, field), kind), expected
    dtype, lr, strength = stage.features_dtype, stage.lr, stage.augment_strength
    yield "features_dtype", dtype in (None, "float32", "bfloat16"), "float32 or bfloat16"
    if lr != "find" and not isinstance(lr, Schedule):
        number = not isinstance(lr, str) and 0 < lr < math.inf
        yield "lr", number, 'a positive number, a schedule or "find"'
    dropout = isinstance(stage.dropout, Schedule) or 0 <= stage.dropout <= 1
    yield "dropout", dropout, "from 0 to 1"
    least = isinstance(strength, Schedule) or 0 <= strength < math.inf
    yield "augment_strength", least, "0 or more"
    ahead = stage.views is None or strength == 1.0
    yield "augment_strength", ahead, "1 where views are drawn ahead"
    yield "ema", stage.ema is None or 0 < stage.ema < 1, "between 0 and 1"
    stops = stage.step_back is None or stage.patience is not None
    yield "step_back", stops, "left out where there is no patience"
    held = stage.statistics == "held"
    yield "statistics", held or stage.statistics == "moving", "held or moving"
    yield "views", held or stage.views is None, "None where statistics move"
    yield "solver", stage.solver in ("steps", "lbfgs"), "steps or lbfgs"


def _solved(stage: Stage) -> Iterator[Check]:
    """Check that a stage whose head is solved has nothing that needs steps."""
    if stage.solver != "lbfgs":
        return
    plain = stage.views == 1 and stage.augment is None
    yield "views", plain, "1 and augment None where the head is solved"
    head = all(pattern.startswith("head/") for pattern in multipliers(stage.rules))
    yield "rules", head, "the head's alone"
    unused = {"dropout": 0.0, "objective": PLAIN, "patience": None, "ema": None}
    for field, value in unused.items():
        yield field, getattr(stage, field) == value, f"{value} where the head is solved"


@dataclass(frozen=True)
class Plan:
    """Stages one after another, each starting from the parameters of the one before.

    Parameters that trained in an earlier stage keep their optimizer state, momentum included.
    """

    name: str
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if not names:
            raise InputError(f"plan {self.name!r}: expected one stage or more, found none")
        if twice := {name for name in names if names.count(name) > 1}:
            raise InputError(f"plan {self.name!r}: two stages are called {min(twice)!r}")
