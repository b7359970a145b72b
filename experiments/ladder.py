"""The whole ladder, rungs 1 to 5.

python -m experiments.ladder
"""

from experiments import cli, runner
from tljax import config

if __name__ == "__main__":
    cli.run(lambda: runner.main(__doc__, experiment="ladder", rungs=config.RUNGS))
