"""The whole ladder, rungs 1 to 5.

    tljax ladder --seeds 5

The lecture's cats and dogs, VGG16's ImageNet weights, 150 x 150, means of 3 seeds: scratch 66.1,
linear 96.1, features 96.0, frozen 96.7, finetune 97.4, differential 97.6 %; 2 min 42 s on one H200
for the three.
"""

from dataclasses import replace

from tljax.commands import runner, running
from tljax.commands.climb.rung import Rung
from tljax.config import PRESETS
from tljax.models.build import Network
from tljax.optim.rules import Rules
from tljax.optim.schedules import WarmupCosine

# What a leaf's path is matched with, first to last, and its multiple of the rate; None is frozen.
ALL: Rules = ((".*", 1.0),)
HEAD: Rules = (("head/.*", 1.0), ("base/.*", None))
BLOCK5: Rules = (("head/.*", 1.0), ("base/block5_.*", 1.0), ("base/.*", None))
SLOWER: Rules = (
    ("head/.*", 1.0),
    ("base/block5_.*", 1 / 3),
    ("base/block4_.*", 1 / 9),
    ("base/block3_.*", 1 / 27),
    ("base/block2_.*", 1 / 81),
    ("base/block1_.*", 1 / 243),
)
# The rest of each stage: batch, optimizer, augmentation, dropout. --preset takes others from there.
tuned = PRESETS["tuned"]
peak = WarmupCosine(1e-3)  # on a base, relative: the part of its own norm that a leaf moves a step

RUNGS = {
    "scratch": Rung(
        Network("cnn", hidden=512, dropout_flat=True),
        replace(tuned["scratch"], rules=ALL, lr=WarmupCosine(5e-4), epochs=10),
    ),
    "linear": Rung(
        Network(hidden=0, feature_norm=True),
        replace(tuned["linear"], rules=HEAD, solver="lbfgs"),  # solved: no rate, no length
    ),
    "features": Rung(
        Network(dropout_hidden=True, feature_norm=True),
        replace(tuned["features"], rules=HEAD, lr=peak, epochs=30),
    ),
    "frozen": Rung(
        Network(feature_norm=True),
        replace(tuned["frozen"], rules=HEAD, lr=peak, epochs=8),
    ),
    "finetune": Rung(
        Network(feature_norm=True),
        replace(tuned["finetune"], rules=BLOCK5, lr=peak, epochs=10),
        after="frozen",
    ),
    "differential": Rung(
        Network(feature_norm=True),
        replace(tuned["differential"], rules=SLOWER, lr=peak, epochs=5),
        after="finetune",
    ),
}

if __name__ == "__main__":
    running.run(lambda: runner.main(__doc__, experiment="ladder", rungs=RUNGS))
