"""A small network on the saved features of a frozen, pretrained VGG16: rung 2.

    python -m experiments.features --weights base.safetensors --seeds 5

77.7 % of critters (77.1 to 78.2 % over 5 seeds); 2 seconds a seed on one core.
"""

from experiments import cli, runner

if __name__ == "__main__":
    cli.run(lambda: runner.main(__doc__, experiment="features", rungs=("features",)))
