"""Rung 4, then all layers, each earlier block at a rate 3 times smaller: rung 5.

    tljax differential --weights base.safetensors --seeds 5

97.6 % of the lecture's cats and dogs (97.0 to 98.1 % over 3 seeds), VGG16's ImageNet weights at
150 x 150.
"""

from experiments import ladder
from tljax.commands import runner, running

RUNGS = {
    "frozen": ladder.RUNGS["frozen"],
    "finetune": ladder.RUNGS["finetune"],
    "differential": ladder.RUNGS["differential"],
}

if __name__ == "__main__":
    running.run(lambda: runner.main(__doc__, experiment="differential", rungs=RUNGS))
