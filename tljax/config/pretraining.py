"""The bases that are pretrained here, in minutes on two cores: their networks and stages."""

from tljax.config.sizes import WINDOW
from tljax.config.stage import TRAIN_ALL, Stage
from tljax.data.augment import Augment
from tljax.data.text.augment import Offsets
from tljax.optim.schedules import WarmupCosine
from tljax.optim.transform import Optimizer

CRITTERS_BASE, CRITTERS_WIDTH = "vgg16", 0.25  # on critters:source
CRITTERS_OPTIONS = {"width": CRITTERS_WIDTH}
RATE = 3e-3
IMAGES = Stage(
    "pretrain",
    TRAIN_ALL,
    lr=WarmupCosine(RATE),
    epochs=10,
    optimizer=Optimizer("adam", weight_decay=1e-2),
    batch_size=32,
    # No rotation, shear or zoom: resampling blurs small images, and the network then does
    # worse on sharp ones.
    augment=Augment(rotation_deg=0, width_shift=0.08, height_shift=0.08, shear_deg=0, zoom=0),
)

TEXT_BASE, TEXT_OPTIONS = "causal", {"width": 64, "dropout": 0.1}  # on stdlib:source
LANGUAGE = Stage(
    "language",
    TRAIN_ALL,
    lr=WarmupCosine(2e-3),  # of a small model
    epochs=4,
    optimizer=Optimizer("adam", weight_decay=1e-2),
    batch_size=32,
    augment=Offsets(WINDOW),
    dropout=1.0,  # times the base's own
)
