"""Rung 3, then its head and `block5_conv1` onward together: rung 4.

    python -m experiments.finetune --weights base.safetensors --seeds 5

81.3 % of critters (80.2 to 82.5 % over 5 seeds); 25 seconds a seed on one core.
"""

from experiments import cli, runner

if __name__ == "__main__":
    cli.run(lambda: runner.main(__doc__, experiment="finetune", rungs=("frozen", "finetune")))
