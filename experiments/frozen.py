"""A frozen, pretrained VGG16 under a new head, with augmentation: rung 3.

    python -m experiments.frozen --weights base.safetensors --seeds 5

78.5 % of critters (78.2 to 78.8 % over 5 seeds); 10 seconds a seed on one core, most of it the 64 views.
"""

from experiments import cli, runner

if __name__ == "__main__":
    cli.run(lambda: runner.main(__doc__, experiment="frozen", rungs=("frozen",)))
