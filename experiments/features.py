"""The features of a frozen, pretrained VGG16, saved to HDF5, under a small network: rung 2.

python -m experiments.features
"""

from experiments import cli, runner

if __name__ == "__main__":
    cli.run(lambda: runner.main(__doc__, experiment="features", rungs=("features",)))
