"""The verbs of transfer learning: they make stages and plans, and carry them out."""

# pyright: strict

from dataclasses import replace
from typing import Literal

from tljax.config import (
    HEAD_ONLY,
    LAMB,
    RELATIVE_RATE,
    Plan,
    Stage,
    differential_rules,
    on_masks,
    on_texts,
)
from tljax.data.augment import Augment
from tljax.data.examples import Sets
from tljax.data.text.vocabulary import Vocabulary
from tljax.errors import InputError
from tljax.models.build import Network, described, named
from tljax.optim.schedules import OneCycle, OneCycleMomentum, Scaled
from tljax.train import lr_finder
from tljax.train import plan as plan_lib
from tljax.train.rung import Trained
from tljax.train.setup import prepare
from tljax.train.source import Source
from tljax.weights import Weights

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


def unfreeze(
    stage: Stage, *, start: str | None = None, factor: float = 1.0, base: str = "vgg16"
) -> Stage:
    """Unfreeze the layers of a stage from `start` on, by group.

    Each group has a rate `factor` times smaller than the next. `start` is a group of the base or a
    layer with parameters: VGG16's "block5_conv1" is the lecture's; None is the first. What comes
    before stays frozen.

    >>> stage = Stage("mine", HEAD_ONLY, lr=1e-3, epochs=5)
    >>> unfreeze(stage, start="block5_conv1", factor=4.0).rules
    (('head/.*', 1.0), ('base/block5_.*', 0.25), ('base/.*', None))
    """
    architecture = named(base)
    return replace(stage, rules=architecture.rules(start or architecture.groups[0], factor=factor))


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
    base: str = "vgg16",
) -> Plan:
    """Make the plan of fastai's `fine_tune`: the head first, then everything, both under 1-cycle.

    The second stage has half the rate in the head and `lr_mult` times less in the first group.
    Rates are relative to each leaf's norm (`Optimizer.trust_ratio`): fastai's numbers are for
    networks with batch norm, which VGG16 lacks. An epoch draws at least 800 images: three steps on
    a hundred photographs are no training. Everything else is taken from `stage`.
    """
    like = stage or replace(_LIKE, least_images=800)
    head = one_cycle(freeze(replace(like, name="head", epochs=freeze_epochs)), lr, pct_start=0.99)
    factor = lr_mult ** (1 / len(named(base).groups))
    whole = unfreeze(
        replace(like, name="whole", epochs=epochs, views=None), factor=factor, base=base
    )
    return Plan("fine_tune", (head, one_cycle(whole, lr / 2, div=5.0)))


def gradual_unfreezing(
    stage: Stage, *, factor: float = 2.6, down_to: str | None = None, base: str = "vgg16"
) -> Plan:
    """Make a plan that unfreezes one more layer group in each stage, from the head to `down_to`.

    `down_to` is a group, or the first layer of one; None is the first. Howard and Ruder 2018, with
    their factor. Every stage is like `stage`; the rate in its rules falls by `factor` a group.
    """
    architecture = named(base)
    starts = {cut.group: cut.name for cut in reversed(architecture.cuts) if cut.modules}
    last = starts.get(down_to or architecture.groups[0], down_to)
    if last not in starts.values():
        raise InputError(
            f"gradual_unfreezing: down_to must be one of {', '.join(architecture.groups)} or the "
            f"first layer of one, found {down_to!r}"
        )
    stages = [freeze(replace(stage, name="head"))]
    for start in starts.values():
        more = unfreeze(replace(stage, name=f"from_{start}"), start=start, factor=factor, base=base)
        stages.append(replace(more, views=None) if start == architecture.names[0] else more)
        if start == last:
            break
    return Plan("gradual", tuple(stages))


def full_recipe(
    *,
    lr: float = RELATIVE_RATE,
    factor: float | None = None,
    views: int | Literal["auto"] | None = "auto",
    base: str = "vgg16",
) -> Plan:
    """Make the plan of the lecture's recap: the head, then the last groups, then everything.

    The first stage freezes the base, the last one has differential rates, by `factor` a group, and
    averaged parameters. Each is under 1-cycle. By default the factor is VGG16's 3 a block, and as
    much in all for a base of more groups.
    """
    architecture = named(base)
    like = replace(_LIKE, epochs=4, views=views)
    head = one_cycle(freeze(replace(like, name="head")), lr)
    late = unfreeze(replace(like, name="late"), start=architecture.fine_tune, base=base)
    whole = replace(
        like,
        name="whole",
        epochs=8,
        views=None,
        ema=0.99,
        rules=differential_rules(architecture),
    )
    whole = unfreeze(whole, factor=factor, base=base) if factor else whole
    return Plan("full", (head, one_cycle(late, lr), one_cycle(whole, lr)))


def fine_tune(
    sets: Sets,
    weights: Weights,
    *,
    epochs: int = 5,
    lr: float = FINE_TUNING_RATE,
    stage: Stage | None = None,
    network: Network | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Trained:
    """Train on photographs or texts from a pretrained base, by the plan of `fine_tuning`.

    On masks its stages are as `config.on_masks` makes them, unless `stage` is given.
    `train_plan` carries out such a plan with its other settings, or any other plan.
    """
    if not isinstance(weights, Weights):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"weights: expected what tljax.load_weights returns, found {weights!r}")
    base, _ = described(weights.architecture)
    plan = fine_tuning(epochs=epochs, lr=lr, stage=stage, base=base)
    if isinstance(sets.preprocess, Vocabulary):
        plan = replace(plan, stages=tuple(map(on_texts, plan.stages)))
    elif sets.task.dense and stage is None:
        plan = replace(plan, stages=tuple(map(on_masks, plan.stages)))
    source = Source(sets, weights, progress=progress)
    return plan_lib.train_plan(plan, network or NETWORK, source, seed=seed)[-1]


def lr_find(
    sets: Sets,
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
    # Views for the steps of the test alone, not for those of the stage.
    short, source = lr_finder.of_steps(stage), Source(sets, weights, progress=progress)
    ready = prepare(short, network or NETWORK, source, seed=seed)
    return lr_finder.find(stage, ready, seed=seed, progress=progress)
