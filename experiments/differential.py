"""Rung 4, then everything, each earlier block at a rate 3 times smaller: rung 5.

    python -m experiments.differential --weights base.safetensors --seeds 5

85.9 % of critters (84.6 to 87.1 % over 5 seeds); a minute and ten seconds a seed on one core.
"""

from experiments import cli, runner

if __name__ == "__main__":
    cli.run(lambda: runner.main(__doc__, experiment="differential", rungs=("frozen", "finetune", "differential")))
