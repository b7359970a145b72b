"""Refuse what a command cannot do before it begins: nothing is written, and no run is lost."""

import argparse
from collections.abc import Callable, Mapping

from tljax.config import Stage
from tljax.data.augment import Augment
from tljax.data.examples import Sets
from tljax.errors import InputError
from tljax.models.build import Network
from tljax.tasks.text import TEXT
from tljax.train import rung, setup
from tljax.train.ready import Ready
from tljax.train.source import Source

Stages = Mapping[str, tuple[Network, Stage]]
Outlines = Mapping[str, tuple[Stage, Ready]]
Check = Callable[[Sets, Outlines], None]  # raises InputError
OF_STEPS = ("class_weights", "label_smoothing", "mixup", "dice", "anchor")


def accept(sets: Sets, outlines: Outlines) -> None:
    """Refuse nothing besides what no stage can be trained on."""
    del sets, outlines


def unused(args: argparse.Namespace, stages: Stages) -> None:
    """Raise InputError for an option of training that no stage takes."""
    if args.photometric and not any(isinstance(s.augment, Augment) for _, s in stages.values()):
        found = "texts" if args.task == TEXT.name else ", ".join(stages)
        expected = "--photometric: expected a rung that augments photographs"
        raise InputError(f"{expected}, found {found}")
    for name in OF_STEPS:
        if vars(args)[name] and all(stage.solver != "steps" for _, stage in stages.values()):
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{option}: expected a rung of steps, found {', '.join(stages)}")


def untrainable(stages: Stages, source: Source, check: Check) -> None:
    """Raise InputError for stages that cannot be trained, and for what a command's check refuses.

    Stages are looked at in outline, from shapes alone.
    """
    outlines = {
        name: (stage, setup.outline(stage, network, source))
        for name, (network, stage) in stages.items()
    }
    check(source.sets, outlines)
    for stage, ready in outlines.values():
        rung.check(stage, ready)
