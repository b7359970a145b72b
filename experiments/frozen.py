"""A frozen, pretrained VGG16 under a new head, with augmentation: rung 3.

    tljax frozen --weights base.safetensors --seeds 5

96.7 % of the lecture's cats and dogs (95.8 to 97.6 % over 3 seeds), VGG16's ImageNet weights at
150 x 150.
"""

from experiments import ladder
from tljax.commands import runner, running

RUNGS = {"frozen": ladder.RUNGS["frozen"]}

if __name__ == "__main__":
    running.run(lambda: runner.main(__doc__, experiment="frozen", rungs=RUNGS))
