"""The whole ladder, rungs 1 to 5.

    python -m experiments.ladder --seeds 5

The lecture's cats and dogs, VGG16's ImageNet weights, 150 x 150, means of 3 seeds: scratch 66.1,
linear 96.1, features 96.0, frozen 96.7, finetune 97.4, differential 97.6 %; 2 min 42 s on one H200
for the three.
"""

from tljax import config
from tljax.commands import cli, runner

if __name__ == "__main__":
    cli.run(lambda: runner.main(__doc__, experiment="ladder", rungs=config.RUNGS))
