"""A small convolutional network from scratch, with augmentation and dropout: rung 1.

python -m experiments.scratch
"""

from experiments import cli, runner

if __name__ == "__main__":
    cli.run(lambda: runner.main(__doc__, experiment="scratch", rungs=("scratch",)))
