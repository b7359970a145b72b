"""Rung 3, then its head together with `block5_conv1` and later layers: rung 4.

    tljax finetune --weights base.safetensors --seeds 5

97.4 % of the lecture's cats and dogs (97.0 to 97.7 % over 3 seeds), VGG16's ImageNet weights at
150 x 150.
"""

from experiments import ladder
from tljax.commands import runner, running

RUNGS = {"frozen": ladder.RUNGS["frozen"], "finetune": ladder.RUNGS["finetune"]}

if __name__ == "__main__":
    running.run(lambda: runner.main(__doc__, experiment="finetune", rungs=RUNGS))
