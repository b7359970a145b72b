"""Rung 3, then its head and `block5_conv1` onward together at a low rate: rung 4.

python -m experiments.finetune
"""

from experiments import cli, runner

if __name__ == "__main__":
    cli.run(lambda: runner.main(__doc__, experiment="finetune", rungs=("frozen", "finetune")))
