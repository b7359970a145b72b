"""The rungs of the ladder as commands: each with the rungs it builds on."""

from tljax import config
from tljax.commands import runner
from tljax.commands.climb.rung import named


def ladder() -> None:
    """Train the whole ladder.

    tljax ladder --data folder:PHOTOS --weights vgg16-imagenet-keras-notop
    """
    runner.main(ladder.__doc__, experiment="ladder", rungs=named(config.RUNGS))


def scratch() -> None:
    """Train a small convolutional network from scratch, with augmentation and dropout: rung 1."""
    runner.main(scratch.__doc__, experiment="scratch", rungs=named(["scratch"]))


def linear() -> None:
    """Solve a logistic regression on the saved features of a frozen, pretrained base."""
    runner.main(linear.__doc__, experiment="linear", rungs=named(["linear"]))


def features() -> None:
    """Train a small network on the saved features of a frozen, pretrained base: rung 2."""
    runner.main(features.__doc__, experiment="features", rungs=named(["features"]))


def frozen() -> None:
    """Train a new head on a frozen, pretrained base, with augmentation: rung 3."""
    runner.main(frozen.__doc__, experiment="frozen", rungs=named(["frozen"]))


def finetune() -> None:
    """Train rung 3, then its head and the base's last block together: rung 4."""
    runner.main(finetune.__doc__, experiment="finetune", rungs=named(["frozen", "finetune"]))


def differential() -> None:
    """Train rung 4, then everything, each earlier block at a smaller rate: rung 5."""
    rungs = named(["frozen", "finetune", "differential"])
    runner.main(differential.__doc__, experiment="differential", rungs=rungs)
