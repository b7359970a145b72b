"""A run as data: frozen dataclasses, every default of training in this file. A variant is a new value."""

from dataclasses import dataclass

from tljax.data.augment import Augment
from tljax.errors import InputError
from tljax.models.build import Network
from tljax.optim.schedules import Schedule, WarmupCosine
from tljax.optim.transform import Optimizer

Rules = tuple[tuple[str, float | None], ...]

TRAIN_ALL: Rules = ((".*", 1.0),)
HEAD_ONLY: Rules = (("head/.*", 1.0), ("base/.*", None))


KERAS3_RMSPROP = Optimizer()
KERAS2_RMSPROP = Optimizer(eps_in_sqrt=False)


@dataclass(frozen=True)
class Stage:
    """One stretch of training with one set of rules.

    An epoch is `images_per_epoch` draws from the shuffled training set, as often around as that takes; None is once
    around. `views` None augments afresh at every draw; a number K runs the frozen prefix on K augmented views of each
    photograph once and trains from those (1 without augmentation: the plain features).
    """

    name: str
    rules: Rules
    lr: float | Schedule
    epochs: int
    optimizer: Optimizer = KERAS3_RMSPROP
    batch_size: int = 32
    images_per_epoch: int | None = None
    augment: Augment | None = None
    views: int | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "images_per_epoch", "views"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"stage {self.name!r}: {name} must be 1 or more, found {value}")
        if not 0 <= self.dropout <= 1:
            raise InputError(f"stage {self.name!r}: dropout must be from 0 to 1, found {self.dropout}")

    def steps_per_epoch(self, train_images: int) -> int:
        """Optimizer steps in an epoch over a training set of this size."""
        return max(1, round((self.images_per_epoch or train_images) / self.batch_size))


@dataclass(frozen=True)
class Plan:
    """A network and the stages that train it, each from where the one before it stopped."""

    network: Network
    stages: tuple[Stage, ...]


PRETRAIN = Stage(
    "pretrain",
    TRAIN_ALL,
    lr=WarmupCosine(0.05),
    epochs=12,
    optimizer=Optimizer("sgd", weight_decay=5e-4),
    batch_size=128,
    augment=Augment(rotation_deg=15, width_shift=0.1, height_shift=0.1, shear_deg=5, zoom=0.1),
)
