"""Rung 4, then everything, each earlier block at a rate 3 times smaller: rung 5.

python -m experiments.differential
"""

from experiments import cli, runner

if __name__ == "__main__":
    cli.run(lambda: runner.main(__doc__, experiment="differential", rungs=("frozen", "finetune", "differential")))
