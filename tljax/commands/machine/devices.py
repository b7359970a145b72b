"""The options of devices and processes, and the parser that acts on them before JAX starts."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import jax

from tljax.machine import processes

DETERMINISTIC = "--xla_gpu_deterministic_ops=true"  # read when JAX starts its first device


class Parser(argparse.ArgumentParser):
    """A parser of a command line, which also says on what the command runs."""

    # argparse's own also fills a namespace of the caller's, which no command has.
    def parse_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Sequence[str] | None = None
    ) -> argparse.Namespace:
        """Parse the arguments, then set XLA's flags and join the other processes.

        Both must come before any other use of JAX.
        """
        parsed = super().parse_args(args)
        if getattr(parsed, "deterministic", False):
            os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}".strip()
        if "coordinator" in parsed:
            line = processes.start(
                coordinator=parsed.coordinator,
                processes=parsed.processes,
                process=parsed.process,
            )
            if line:
                print(line, file=sys.stderr, flush=True)
                parsed.quiet = parsed.quiet or not processes.first()
        if getattr(parsed, "deterministic", False) and processes.first():
            print(deterministic_costs(jax.default_backend()), file=sys.stderr, flush=True)
        return parsed

    def error(self, message: str) -> NoReturn:
        """Print one line, like every other mistake of a user's; the usage is in --help."""
        self.exit(2, f"error: {message}\n")


def add_machine(group: argparse._ArgumentGroup) -> None:
    """Add the options that say which bits, and which processes."""
    add = group.add_argument
    add(
        "--deterministic",
        action="store_true",
        help="on a GPU, the same bits each time, at the cost of speed",
    )
    add(
        "--coordinator", metavar="ADDR", help="HOST:PORT of process 0, where several train together"
    )
    add(
        "--processes",
        type=positive,
        metavar="N",
        help="with --coordinator: how many processes there are",
    )
    add(
        "--process", type=int, metavar="I", help="with --coordinator: which process this is, from 0"
    )


def deterministic_costs(platform: str) -> str:
    """Say what --deterministic costs on a kind of device."""
    if platform == "gpu":
        return (
            "--deterministic: XLA leaves out operations whose sums have no fixed order, and takes "
            "the first algorithm for a convolution in place of the fastest it measures: slower "
            "steps, no tuning before the first one"
        )
    if platform == "cpu":
        return (
            "--deterministic is --lowering direct on CPU: the same command gives the same bits "
            "there anyway, once what is measured is kept"
        )
    return (
        f"--deterministic changes nothing on {platform.upper()}: the same command gives the same "
        "bits there anyway"
    )


def positive(text: str) -> int:
    """Read an option that must be a whole number, 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, found {text}")
    return value
