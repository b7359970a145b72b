"""A small network on the saved features of a frozen, pretrained VGG16: rung 2.

    tljax features --weights base.safetensors --seeds 5

96.0 % of the lecture's cats and dogs (95.4 to 96.7 % over 3 seeds), VGG16's ImageNet weights at
150 x 150.
"""

from experiments import ladder
from tljax.commands import runner, running

RUNGS = {"features": ladder.RUNGS["features"]}

if __name__ == "__main__":
    running.run(lambda: runner.main(__doc__, experiment="features", rungs=RUNGS))
