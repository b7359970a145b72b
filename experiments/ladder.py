"""The whole ladder, rungs 1 to 5.

    python -m experiments.ladder --seeds 5

Critters: scratch 58.8, features 77.7, frozen 78.5, finetune 81.3, differential 85.9 % (means of 5 seeds); 9 minutes
on two cores, 2 to 3 of them pretraining the base.
"""

from experiments import cli, runner
from tljax import config

if __name__ == "__main__":
    cli.run(lambda: runner.main(__doc__, experiment="ladder", rungs=config.RUNGS))
