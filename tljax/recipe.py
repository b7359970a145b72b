"""The verbs of transfer learning: they make stages and plans, and carry them out."""

# pyright: strict

from dataclasses import replace
from typing import Literal

from tljax.config import BLOCKS, HEAD_ONLY, LAMB, RELATIVE_RATE, Plan, Stage
from tljax.data import ImageSets
from tljax.data.augment import Augment
from tljax.errors import InputError
from tljax.models import vgg
from tljax.models.build import Network
from tljax.optim.rules import Rules, discriminative
from tljax.optim.schedules import OneCycle, OneCycleMomentum, Scaled
from tljax.train import lr_finder
from tljax.train import plan as plan_lib
from tljax.train.rung import Trained
from tljax.train.setup import prepare
from tljax.train.source import Source
from tljax.weights import Weights

GROUPS = (*BLOCKS, "head/.*")  # from input to output
FINE_TUNING_RATE = 2e-3  # fastai's base_lr
NETWORK = Network(feature_norm=True)
_LIKE = Stage(
    "",
    HEAD_ONLY,
    RELATIVE_RATE,
    epochs=1,
    optimizer=LAMB,
    least_images=1600,
    augment=Augment(),
)


def freeze(stage: Stage) -> Stage:
    """Freeze the base of a stage: only the head trains."""
    return replace(stage, rules=HEAD_ONLY)


def unfreeze(stage: Stage, *, start: str = vgg.LAYERS[0], factor: float = 1.0) -> Stage:
    """Unfreeze the layers of a stage from `start` on, by block.

    Each block has a rate `factor` times smaller than the next. `start` is a convolution of VGG16:
    "block5_conv1" is the lecture's. What comes before stays frozen.

    >>> stage = Stage("mine", HEAD_ONLY, lr=1e-3, epochs=5)
    >>> unfreeze(stage, start="block5_conv1", factor=4.0).rules
    (('head/.*', 1.0), ('base/block5_.*', 0.25), ('base/.*', None))
    """
    return replace(stage, rules=rules_from(start, factor=factor))


def rules_from(start: str, *, factor: float = 1.0) -> Rules:
    """Make rules that train the head, and the base from the layer `start` on, by block."""
    if start not in vgg.CONVS:
        raise InputError(
            f"unfreeze: VGG16 has no convolution {start!r}; one of {', '.join(vgg.CONVS)}"
        )
    block = int(start[5])
    first = [
        f"base/{name}/.*" for name in vgg.CONVS[vgg.CONVS.index(start) :] if int(name[5]) == block
    ]
    whole = start.endswith("conv1")
    groups: list[str | list[str]] = [BLOCKS[block - 1] if whole else first, *GROUPS[block:]]
    return discriminative(
        groups, factor=factor, freeze=None if start == vgg.CONVS[0] else "base/.*"
    )


def one_cycle(stage: Stage, peak: float, *, div: float = 25.0, pct_start: float = 0.3) -> Stage:
    """Put a stage under the 1-cycle policy.

    Momentum goes the other way where the optimizer has one.
    """
    optimizer = stage.optimizer
    if optimizer.name != "rmsprop":
        optimizer = replace(optimizer, momentum=OneCycleMomentum(pct_start=pct_start))
    return replace(stage, lr=OneCycle(peak, div=div, pct_start=pct_start), optimizer=optimizer)


def scaled_batch(stage: Stage, batch_size: int, *, warmup: float = 0.05) -> Stage:
    """Scale the rate of a stage with its batch size, by the linear rule with a gradual warm-up.

    Goyal et al. 2017, arXiv 1706.02677: from the rate of the small batch to k times as much, over 5
    of 90 epochs. The same number of images is drawn, in fewer steps. The rule is SGD's; RMSprop and
    Adam, which divide by the gradients' size, may need less. InputError for a rate that a range
    test finds: at the new batch size it finds the new rate.
    """
    if stage.lr == "find":
        raise InputError(
            f'stage {stage.name!r}: lr="find" finds the rate at any batch size: '
            "nothing is left to scale"
        )
    factor = batch_size / stage.batch_size
    rate = Scaled(stage.lr, factor, warmup=warmup if factor > 1 else 0.0)
    return replace(stage, batch_size=batch_size, lr=rate if factor != 1 else stage.lr)


def fine_tuning(
    *,
    epochs: int,
    lr: float = FINE_TUNING_RATE,
    freeze_epochs: int = 1,
    lr_mult: float = 100.0,
    stage: Stage | None = None,
) -> Plan:
    """Make the plan of fastai's `fine_tune`: the head first, then everything, both under 1-cycle.

    The second stage has half the rate in the head and `lr_mult` times less in the first block.
    Rates are relative to each leaf's norm (`Optimizer.trust_ratio`): fastai's numbers are for
    networks with batch norm, which VGG16 lacks. An epoch draws at least 800 images: three steps on
    a hundred photographs are no training. Everything else is taken from `stage`.
    """
    like = stage or replace(_LIKE, least_images=800)
    head = one_cycle(freeze(replace(like, name="head", epochs=freeze_epochs)), lr, pct_start=0.99)
    factor = lr_mult ** (1 / (len(GROUPS) - 1))
    whole = unfreeze(replace(like, name="whole", epochs=epochs, views=None), factor=factor)
    return Plan("fine_tune", (head, one_cycle(whole, lr / 2, div=5.0)))


def gradual_unfreezing(stage: Stage, *, factor: float = 2.6, down_to: str = vgg.LAYERS[0]) -> Plan:
    """Make a plan that unfreezes one more layer group in each stage, from the head to `down_to`.

    Howard and Ruder 2018, with their factor. Every stage is like `stage`; the rate in its rules
    falls by `factor` a block.
    """
    starts = [layer for layer in reversed(vgg.CONVS) if layer.endswith("conv1")]
    if down_to not in starts:
        raise InputError(
            f"gradual_unfreezing: down_to must be the start of a block, found {down_to!r}"
        )
    stages = [freeze(replace(stage, name="head"))]
    for start in starts[: starts.index(down_to) + 1]:
        more = unfreeze(replace(stage, name=f"from_{start}"), start=start, factor=factor)
        stages.append(replace(more, views=None) if start == vgg.LAYERS[0] else more)
    return Plan("gradual", tuple(stages))


def full_recipe(
    *, lr: float = RELATIVE_RATE, factor: float = 3.0, views: int | Literal["auto"] | None = "auto"
) -> Plan:
    """Make the plan of the lecture's recap: the head, then block 5, then everything.

    The first stage freezes the base, the last one has differential rates and averaged parameters.
    Each is under 1-cycle.
    """
    like = replace(_LIKE, epochs=4, views=views)
    head = one_cycle(freeze(replace(like, name="head")), lr)
    late = one_cycle(unfreeze(replace(like, name="late"), start="block5_conv1"), lr)
    whole = replace(like, name="whole", epochs=8, views=None, ema=0.99)
    return Plan("full", (head, late, one_cycle(unfreeze(whole, factor=factor), lr)))


def fine_tune(
    sets: ImageSets,
    weights: Weights,
    *,
    epochs: int = 5,
    lr: float = FINE_TUNING_RATE,
    stage: Stage | None = None,
    network: Network | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Trained:
    """Train on photographs from a pretrained base, by the plan of `fine_tuning`.

    `train_plan` carries out such a plan with its other settings, or any other plan.
    """
    plan = fine_tuning(epochs=epochs, lr=lr, stage=stage)
    source = Source(sets, weights, progress=progress)
    return plan_lib.train_plan(plan, network or NETWORK, source, seed=seed)[-1]


def lr_find(
    sets: ImageSets,
    weights: Weights | None,
    stage: Stage,
    *,
    network: Network | None = None,
    seed: int = 0,
    progress: bool = True,
) -> lr_finder.Finding:
    """Find the learning rate of a stage on photographs by a range test.

    No argument is changed.
    """
    ready = prepare(stage, network or NETWORK, Source(sets, weights, progress=progress), seed=seed)
    return lr_finder.find(stage, ready, seed=seed, progress=progress)
