"""`tljax NAME`: every command, grouped by what a person wants."""

import os
import sys
from collections.abc import Callable
from importlib import import_module

RUNGS = {
    "ladder": "all rungs in order, each from the one it builds on",
    "scratch": "a small network from random numbers, the baseline",
    "linear": "a logistic regression on saved features, solved",
    "features": "a small network on saved features",
    "frozen": "a new head on the frozen base, with augmentation",
    "finetune": "the head and the base's last block",
    "differential": "everything, earlier blocks at smaller rates",
}
ELSEWHERE = "Make it hold on other photographs"  # modules of tljax.commands.generalise
HOUSE = "Look after this machine"  # modules of tljax.commands.machine
ROOMS = {ELSEWHERE: "commands.generalise", HOUSE: "commands.machine"}
# Module of the command under tljax.commands -> what it does; `_` is written `-`.
GROUPS = {
    "Train a rung of the ladder": RUNGS,
    "Train with a plan, or many at once": {
        "recipe": "a plan of stages: fastai's, gradual unfreezing, or the full recipe",
        "lr_find": "the learning-rate range test of a rung, with its curve",
        "sweep": "many seeds and hyperparameters of a head, in one program",
        "labels": "accuracy by the number of labelled examples, over several draws",
        "cross_validate": "k folds of the training photographs, in one program",
        "pretrain": "a base on a source task, saved as a weights file",
    },
    "Use and look at a run": {
        "predict": "classify photographs",
        "export": "a classifier as a file for other programs: StableHLO, Keras, ONNX",
        "serve": "a web page on this machine: drop a photograph, see its classes",
        "report": "write the page of a run again",
        "compare": "several runs on one page, with paired differences",
        "inside": "pictures of filters, activations, reasons and mistakes",
    },
    ELSEWHERE: {
        "shifted": "a run's rungs on corrupted photographs and on those of another source",
        "soup": "several fine-tunings of one rung, averaged into one network",
        "interpolate": "points between two rungs, within and without distribution",
        "looks": "several views of each photograph, paired with one plain look",
        "surgical": "each group of layers trained alone, early to late",
        "low_rank": "low-rank updates and biases alone, against whole layers: bytes, accuracy",
        "head2toe": "a head on selected features of all layers, solved, against the last layer's",
        "suspects": "labels that are probably wrong, from a cross-validation",
    },
    "Check before training": {
        "show": "the photographs by class, and augmented, as the network sees them",
        "weights": "verify a weights file, or convert it",
        "transferability": "after which block the features fit best",
        "audit": "what a stage trains and costs, from its program",
        "benchmark": "speed beside PyTorch and Keras, in turns",
    },
    HOUSE: {
        "cache": "what is kept on this disk, and deleting what was not read for long",
    },
}


COMMANDS = {name: line for group in GROUPS.values() for name, line in group.items()}


def called(name: str) -> str:
    """Spell a command as it is typed: `tljax lr-find`.

    An experiment that is not installed is `python -m experiments.views`.
    """
    return f"tljax {_spelt(name)}" if name in COMMANDS else f"python -m experiments.{name}"


def main() -> None:
    """Run the command that the first argument names; without one, print the commands."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(_help())
        return
    if sys.argv[1] == "--version":
        print(f"tljax {_version()}")
        return
    os.environ.setdefault("TQDM_DELAY", "0.5")  # no bar for what is done before it is seen
    name = sys.argv[1].replace("-", "_")
    if name not in COMMANDS:
        print(
            f"error: tljax has no command {sys.argv[1]!r}; tljax --help lists them", file=sys.stderr
        )
        raise SystemExit(2)
    sys.argv[:2] = [f"tljax {_spelt(name)}"]
    try:
        _command(name)()
    except KeyboardInterrupt:  # while libraries are imported; from there on the command takes it
        raise SystemExit(130) from None


def _command(name: str) -> Callable[[], None]:
    """Import a command when it is called: --help needs no JAX."""
    from tljax.commands import rungs, running

    if name in RUNGS:
        entry = getattr(rungs, name)
    else:
        rooms = [room for title, room in ROOMS.items() if name in GROUPS[title]]
        room = rooms[0] if rooms else "commands"
        entry = import_module(f"tljax.{room}.{name}").main
    return lambda: running.run(entry)


def _help() -> str:
    lines = [
        "usage: tljax COMMAND [options]",
        "       tljax COMMAND --help",
        "       tljax --version",
    ]
    for title, commands in GROUPS.items():
        lines += ["", title, *(f"  {_spelt(name):<16} {line}" for name, line in commands.items())]
    return "\n".join(lines)


def _spelt(name: str) -> str:
    return name.replace("_", "-")


def _version() -> str:
    import tljax

    return tljax.__version__
