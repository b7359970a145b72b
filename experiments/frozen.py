"""A frozen, pretrained VGG16 under a new head, with augmentation: rung 3.

python -m experiments.frozen
"""

from experiments import cli, runner

if __name__ == "__main__":
    cli.run(lambda: runner.main(__doc__, experiment="frozen", rungs=("frozen",)))
