"""The whole ladder, rungs 1 to 5.

    python -m experiments.ladder --seeds 5

Critters: scratch 58.0, features 74.0, frozen 77.2, finetune 79.2, differential 80.8 % (means of 5 seeds); 12 minutes
on one core, 3 of them pretraining the base.
"""

from experiments import cli, runner
from tljax import config

if __name__ == "__main__":
    cli.run(lambda: runner.main(__doc__, experiment="ladder", rungs=config.RUNGS))
