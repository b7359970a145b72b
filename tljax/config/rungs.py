"""The rungs of the ladder: their order, networks and rules, on any base and on texts."""

from dataclasses import replace

from tljax.config.stage import HEAD_ONLY, TRAIN_ALL, Stage
from tljax.data.augment import Augment
from tljax.data.text.augment import TokenDropout
from tljax.models.architecture import Architecture
from tljax.models.build import Network, named
from tljax.optim.rules import Rules
from tljax.optim.schedules import OneCycle, WarmupCosine

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
ON_FEATURES = ("linear", "features")  # a base is run once, and never trained from there
BAG_RATE = 5e-3  # of a bag of words from scratch
TEXT_RATE = 1e-2  # relative: a language model of half a million parameters has far to go
TEXT_VIEWS = 4  # of texts with dropped tokens
# Of masks: a place of a map sees little of the image, so turning and shearing it costs more than it
# teaches; a batch of 8 images has hundreds of thousands of labelled pixels.
GENTLE = Augment(5.0, 0.1, 0.1, 0.0, 0.2)
MASK_BATCH, MASK_VIEWS = 8, 4
MASK_RATES = 3.0  # times those of images of one class, which leave the head on masks half trained


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


def on_masks(stage: Stage) -> Stage:
    """Return a stage of images of one class as one of masks: small batches, gentle warps.

    An epoch is one pass. The peak of a schedule is `MASK_RATES` times as high; another rate stays.
    """
    lr = stage.lr
    if isinstance(lr, OneCycle | WarmupCosine):
        lr = replace(lr, peak=MASK_RATES * lr.peak)
    augment = GENTLE if stage.augment else None
    views = MASK_VIEWS if stage.views else None
    return replace(
        stage, lr=lr, batch_size=MASK_BATCH, least_images=1, augment=augment, views=views
    )


def network_of(rung: str, preset: str) -> Network:
    """Return the network of a rung.

    On a pretrained base the presets `tuned` and `masks` normalise the features; the others leave
    them raw.
    """
    norm = preset in ("tuned", "masks") and rung != "scratch"
    return replace(NETWORKS[rung], feature_norm=norm)
