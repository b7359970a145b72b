"""The presets: rates and lengths of every rung, with their reasons."""

from dataclasses import replace

from tljax.config.rungs import GENTLE, MASK_BATCH, MASK_VIEWS, rules_of
from tljax.config.stage import HEAD_ONLY, KERAS3_RMSPROP, TRAIN_ALL, Stage
from tljax.data.augment import Augment
from tljax.optim.schedules import WarmupCosine
from tljax.optim.transform import Optimizer

KERAS2_RMSPROP = Optimizer(eps_in_sqrt=False)
LAMB = Optimizer("adam", weight_decay=0.1, trust_ratio=True)
RELATIVE_RATE = 1e-3  # fraction of its own norm by which a leaf moves per step, at the peak


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
    """Make rungs for masks: the relative rates of `_tuned`, higher, and gentler warps."""
    tuned = _tuned()

    def dense(rung: str, *, epochs: int, rate: float, views: int | None = None) -> Stage:
        stage = tuned[rung]
        return replace(
            stage,
            lr=WarmupCosine(rate),
            epochs=epochs,
            batch_size=MASK_BATCH,
            least_images=1,
            augment=GENTLE,
            views=views,
            dropout=0.0,
        )

    return {
        "scratch": dense("scratch", epochs=30, rate=1e-3),
        "linear": replace(tuned["linear"], batch_size=MASK_BATCH),
        "features": replace(dense("features", epochs=20, rate=5e-3, views=1), augment=None),
        "frozen": dense("frozen", epochs=20, rate=5e-3, views=MASK_VIEWS),
        "finetune": dense("finetune", epochs=15, rate=3e-3, views=MASK_VIEWS),
        "differential": dense("differential", epochs=15, rate=3e-3),
    }


PRESETS = {  # with VGG16's rules; `stage_on` has those of another base
    "deck-keras2": _deck(KERAS2_RMSPROP),
    "deck-keras3": _deck(KERAS3_RMSPROP),
    "tuned": _tuned(),
    "critters": _critters(),
    "masks": _masks(),
}
