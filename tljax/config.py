"""A run as data: frozen dataclasses with every default of training. A variant is a new value."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal

from tljax.data.augment import Augment, Augmentation
from tljax.data.text.augment import Offsets, TokenDropout
from tljax.errors import InputError
from tljax.models.architecture import Architecture
from tljax.models.build import Network, named
from tljax.optim.objective import PLAIN, Objective
from tljax.optim.rules import Rules, multipliers
from tljax.optim.schedules import Schedule, WarmupCosine
from tljax.optim.transform import Optimizer

TRAIN_ALL: Rules = ((".*", 1.0),)
HEAD_ONLY: Rules = (("head/.*", 1.0), ("base/.*", None))


KERAS3_RMSPROP = Optimizer()
KERAS2_RMSPROP = Optimizer(eps_in_sqrt=False)
LAMB = Optimizer("adam", weight_decay=0.1, trust_ratio=True)
RELATIVE_RATE = 1e-3  # fraction of its own norm by which a leaf moves per step, at the peak


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
    kinds: dict[str, Any] = {"optimizer": Optimizer, "objective": Objective}
    kinds["augment"] = Augmentation | None
    for field, kind in kinds.items():
        right = isinstance(getattr(stage, field), kind)
        yield field, right, f"tljax's own {getattr(kind, '__name__', 'Augment or None')}"
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


RUNGS = ("scratch", "linear", "features", "frozen", "finetune", "differential")
STEPPED = tuple(rung for rung in RUNGS if rung != "linear")  # linear is solved, without steps
STARTS_FROM = {"finetune": "frozen", "differential": "finetune"}
NETWORKS = {  # the lecture's: their heads take raw features
    "scratch": Network(base="cnn", hidden=512, dropout_flat=True),
    "linear": Network(hidden=0),
    "features": Network(dropout_hidden=True),
    "frozen": Network(),
    "finetune": Network(),
    "differential": Network(),
}


def rules_of(rung: str, base: str = "vgg16") -> Rules:
    """Return the rules of a rung for the layers of a base."""
    architecture = named(base)
    if rung == "scratch":
        return TRAIN_ALL
    if rung == "finetune":
        return architecture.rules(architecture.fine_tune)
    return differential_rules(architecture) if rung == "differential" else HEAD_ONLY


def differential_rules(base: Architecture, *, first: float = 3.0**5) -> Rules:
    """Make rules that train everything, each group of layers slower than the next.

    The rate of the first group is `first` times smaller than the head's: 3 times a group for
    VGG16's five blocks, and as much in all for a base of more groups.
    """
    groups = base.groups
    return base.rules(groups[0], factor=first ** (1 / len(groups)))


def stage_on(rung: str, stage: Stage, base: str) -> Stage:
    """Return a rung's stage with the rules of another base, where it had VGG16's.

    Rules of one's own stay as they are.
    """
    return replace(stage, rules=rules_of(rung, base)) if stage.rules == rules_of(rung) else stage


def on_texts(stage: Stage) -> Stage:
    """Return a stage of photographs as one of texts: its warp becomes the dropping of tokens.

    Views are for a head alone, and few: kept activations of all tokens would fill a disk.
    """
    if stage.augment is None:
        return stage
    if stage.name == "scratch":  # a word is in few texts, and its embedding has few steps
        stage = replace(stage, lr=WarmupCosine(BAG_RATE))
    views = TEXT_VIEWS if stage.views and stage.rules == HEAD_ONLY else None
    return replace(stage, augment=TokenDropout(), views=views)


def _deck(optimizer: Optimizer) -> dict[str, Stage]:
    """Make the lecture's rungs: 3,200 augmented images an epoch, except on saved features."""
    augmented = Stage(
        "",
        TRAIN_ALL,
        1e-4,
        epochs=100,
        optimizer=optimizer,
        images_per_epoch=3200,
        augment=Augment(),
    )
    features = Stage(
        "features",
        HEAD_ONLY,
        2e-5,
        epochs=30,
        optimizer=optimizer,
        batch_size=20,
        views=1,
        dropout=0.5,
    )
    return {
        "scratch": replace(augmented, name="scratch", dropout=0.5),
        "linear": replace(features, name="linear", epochs=1, dropout=0.0, solver="lbfgs"),
        "features": features,
        "frozen": replace(augmented, name="frozen", rules=HEAD_ONLY, lr=2e-5, epochs=30),
        "finetune": replace(augmented, name="finetune", rules=rules_of("finetune"), lr=1e-5),
        "differential": replace(
            augmented, name="differential", rules=rules_of("differential"), lr=1e-5
        ),
    }


def _tuned() -> dict[str, Stage]:
    """Make the default rungs: one relative rate for every rung that starts from a base.

    It suits a base of any width and any scale of weights, because each leaf moves by a thousandth
    of its own norm per step at the peak. On VGG16's ImageNet weights any rate from 1e-4 to 1e-2
    ends within a point of it, and 3e-2 destroys the base; an absolute rate that suits one base
    ruins another.
    """
    deck = _deck(KERAS3_RMSPROP)
    scratch = replace(
        deck["scratch"], lr=WarmupCosine(5e-4), epochs=10, images_per_epoch=None, least_images=1600
    )

    def relative(rung: str, *, epochs: int, least_images: int = 1600) -> Stage:
        return replace(
            deck[rung],
            lr=WarmupCosine(RELATIVE_RATE),
            optimizer=LAMB,
            epochs=epochs,
            images_per_epoch=None,
            least_images=least_images,
        )

    return {
        "scratch": scratch,
        "linear": deck["linear"],
        "features": relative("features", epochs=30, least_images=400),
        "frozen": replace(relative("frozen", epochs=8), views="auto"),
        "finetune": replace(relative("finetune", epochs=10), views="auto"),
        "differential": relative("differential", epochs=5),
    }


def _critters() -> dict[str, Stage]:
    """Make short rungs with high rates, for a small base and a hundred drawings.

    Lower rates gain less there, and longer stages overfit. The rates are absolute: on the full
    VGG16 they end at chance.
    """
    deck = _deck(KERAS3_RMSPROP)

    def short(rung: str, *, peak: float, epochs: int) -> Stage:
        rate = WarmupCosine(peak)
        return replace(deck[rung], lr=rate, epochs=epochs, images_per_epoch=1600, batch_size=32)

    return {
        "scratch": short("scratch", peak=5e-4, epochs=10),
        "linear": deck["linear"],
        "features": replace(deck["features"], lr=WarmupCosine(1e-3), epochs=30),
        "frozen": replace(short("frozen", peak=1e-3, epochs=8), views="auto"),
        "finetune": replace(short("finetune", peak=2e-3, epochs=4), views="auto"),
        "differential": short("differential", peak=1e-3, epochs=5),
    }


def _masks() -> dict[str, Stage]:
    """Make rungs for masks: the relative rates of `_tuned`, higher, and gentler warps.

    A place of a map sees little of the image, so turning and shearing it costs more than it
    teaches; a batch of 8 images has hundreds of thousands of labelled pixels.
    """
    tuned, gentle = _tuned(), Augment(5.0, 0.1, 0.1, 0.0, 0.2)

    def dense(rung: str, *, epochs: int, rate: float, views: int | None = None) -> Stage:
        stage = tuned[rung]
        return replace(
            stage,
            lr=WarmupCosine(rate),
            epochs=epochs,
            batch_size=8,
            least_images=1,
            augment=gentle,
            views=views,
            dropout=0.0,
        )

    return {
        "scratch": dense("scratch", epochs=30, rate=1e-3),
        "linear": replace(tuned["linear"], batch_size=8),
        "features": replace(dense("features", epochs=20, rate=5e-3, views=1), augment=None),
        "frozen": dense("frozen", epochs=20, rate=5e-3, views=4),
        "finetune": dense("finetune", epochs=15, rate=3e-3, views=4),
        "differential": dense("differential", epochs=15, rate=3e-3),
    }


def network_of(rung: str, preset: str) -> Network:
    """Return the network of a rung.

    On a pretrained base the presets `tuned` and `masks` normalise the features; the others leave
    them raw.
    """
    norm = preset in ("tuned", "masks") and rung != "scratch"
    return replace(NETWORKS[rung], feature_norm=norm)


PRESETS = {  # with VGG16's rules; `stage_on` has those of another base
    "deck-keras2": _deck(KERAS2_RMSPROP),
    "deck-keras3": _deck(KERAS3_RMSPROP),
    "tuned": _tuned(),
    "critters": _critters(),
    "masks": _masks(),
}

BAG_RATE = 5e-3  # of a bag of words from scratch
TEXT_VIEWS = 4  # of texts with dropped tokens
MOST_VIEWS = 16  # for "auto"; beyond it, as accurate as fresh augmentation (experiments/views.py)
CHECKPOINT_SECONDS = 30.0  # least time between two checkpoints of a stage; its end is always saved

SIZE = 48  # side of the ladder's critters
LECTURE_SIZE = 150  # side of photographs, where the base does not record its own
# Side of the images that a base is pretrained on: four ninths of the work of 48, and fine-tuning
# adapts to the difference.
PRETRAIN_SIZE = 32
CNN_VALID_SIZE = 46  # below it the scratch CNN pads its convolutions
# The base pretrained on critters:source: minutes on two cores.
CRITTERS_BASE, CRITTERS_WIDTH = "vgg16", 0.25
CRITTERS_OPTIONS = {"width": CRITTERS_WIDTH}

PRETRAIN_RATE = 3e-3
PRETRAIN = Stage(
    "pretrain",
    TRAIN_ALL,
    lr=WarmupCosine(PRETRAIN_RATE),
    epochs=10,
    optimizer=Optimizer("adam", weight_decay=1e-2),
    batch_size=32,
    # No rotation, shear or zoom: resampling blurs small images, and the network then does
    # worse on sharp ones.
    augment=Augment(rotation_deg=0, width_shift=0.08, height_shift=0.08, shear_deg=0, zoom=0),
)

# A language model on running text, by windows of so many tokens. Rates are those of small models.
WINDOW = 64  # and most tokens of a text, where the base does not record its own
TEXT_RATE = 1e-2  # relative: a language model of half a million parameters has far to go
# The base pretrained on stdlib:source: minutes on two cores.
TEXT_BASE, TEXT_OPTIONS = "causal", {"width": 64, "dropout": 0.1}
LANGUAGE_RATE = 2e-3
LANGUAGE = Stage(
    "language",
    TRAIN_ALL,
    lr=WarmupCosine(LANGUAGE_RATE),
    epochs=4,
    optimizer=Optimizer("adam", weight_decay=1e-2),
    batch_size=32,
    augment=Offsets(WINDOW),
    dropout=1.0,  # times the base's own
)
