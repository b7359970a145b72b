"""Measure speed as ratios: each row against a peer or a bound in the same run, in turns, medians.

    tljax benchmark --torch-python PATH

Keras 3 races where it is installed; PyTorch where it is installed, or where PATH is a Python that
has it. About six minutes on two cores.

    tljax benchmark gpu

The same rows at batch 256 and in bfloat16, for an accelerator. Rows come in order of worth, each
with its share of the time; those that do not fit into --minutes are named at the start. As a row
ends it is printed in a line of its own, to be pasted anywhere.
"""

import argparse
import contextlib
import json
import os
import platform
import sys
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from tljax.benchmark.budget import budget
from tljax.benchmark.field import Field
from tljax.benchmark.race import measure, untimed
from tljax.benchmark.rows import CPU, GPU, ROWS, Json, Row, Settings
from tljax.commands import cli
from tljax.errors import InputError
from tljax.machine import compiler_log, lowering
from tljax.machine.provenance import processor
from tljax.models import winograd
from tljax.models.architecture import images_of
from tljax.models.build import Network
from tljax.tasks.classification import CLASSIFICATION


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print one line, as in every other command."""
        self.exit(2, f"error: {message}\n")


def main() -> None:
    """Parse, measure, write benchmark.json and benchmark.png, print."""
    args = _parser().parse_args()
    began = time.monotonic()
    settings = _settings(args)
    rows = _rows(args.rows, settings)
    # Before JAX starts its devices: PyTorch's process needs memory on the same GPU.
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.5")
    args.out.mkdir(parents=True, exist_ok=True)
    field = Field(settings, torch_python=args.torch_python)
    try:
        plan = budget(
            rows, settings, rounds=args.rounds, seconds=60 * args.minutes, peers=field.present()
        )
        results = _about(args.mode, settings, field)
        compiler_log.send_to(args.out / "compiler.log")
        print(f"{results['about']}\n{plan.told()}", file=sys.stderr, flush=True)
        print_row = partial(_print_row, about=results["about"])
        with winograd.using(_by_winograd(settings)):
            results["rows"] = measure(
                plan.rows,
                settings,
                field,
                rounds=args.rounds,
                deadlines=[began + end for end in plan.ends],
                on_row=None if args.quiet else print_row,
            )
        results["rows"] += [
            untimed(row, f"no time: about {seconds:.0f} s") for row, seconds in plan.left_out
        ]
    finally:
        field.close()
    _leave(results, args.out, as_json=args.json)


def _by_winograd(settings: Settings) -> winograd.Shapes:
    """Return the convolutions of VGG16 that commands on this machine compute in Winograd's way."""
    network = Network("vgg16", {"width": settings.width})
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for the table
        return lowering.measured(
            [network], images_of(settings.size), task=CLASSIFICATION, dtype=settings.dtype
        )


def _parser() -> argparse.ArgumentParser:
    new = _Parser(
        prog="tljax benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = new.add_argument
    add(
        "mode",
        nargs="?",
        choices=("cpu", "gpu"),
        default="cpu",
        help="sizes and dtype of the rows (cpu)",
    )
    add("--json", action="store_true", help="print JSON in place of the table")
    add(
        "--torch-python",
        metavar="PATH",
        help="a Python with torch, for its peers (this one, if it has it)",
    )
    add("--rows", metavar="A,B", help=f"only these of: {', '.join(row.name for row in ROWS)}")
    add("--rounds", type=cli.positive, default=5, metavar="N", help="rounds of each contender (5)")
    add(
        "--minutes",
        type=cli.fraction,
        default=8.0,
        metavar="M",
        help="for the rows that fit, in order of worth (8)",
    )
    add(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help=f"sizes: {', '.join(asdict(CPU))}",
    )
    add(
        "--out",
        type=cli.path,
        default=Path("runs/benchmark"),
        metavar="DIR",
        help="for the files (runs/benchmark)",
    )
    add("--quiet", action="store_true", help="no line as a row ends")
    return new


def _settings(args: argparse.Namespace) -> Settings:
    settings = {"cpu": CPU, "gpu": GPU}[args.mode]
    for word in args.set:
        name, _, text = word.partition("=")
        kind = type(getattr(settings, name, None))
        if kind not in (int, float):
            raise InputError(
                f"--set: expected NAME=VALUE with a name that has a number, found {word!r}"
            )
        try:
            value = (cli.positive if kind is int else cli.fraction)(text)
        except (ValueError, argparse.ArgumentTypeError):
            raise InputError(f"--set: expected a positive number, found {word!r}") from None
        settings = replace(settings, **{name: value})  # --set names any field
    return settings


def _rows(names: str | None, settings: Settings) -> tuple[Row, ...]:
    known = {row.name: row for row in ROWS if settings.accelerated or not row.accelerators}
    chosen = list(known) if names is None else names.split(",")
    if unknown := [name for name in chosen if name not in known]:
        raise InputError(f"--rows: expected some of {', '.join(known)}; found {unknown[0]!r}")
    return tuple(known[name] for name in chosen)


def _about(mode: str, settings: Settings, field: Field) -> Json:
    """Describe what the numbers depend on: device, versions, settings and load."""
    import jax

    device = jax.devices()[0]
    kind = processor() if device.platform == "cpu" else device.device_kind
    versions = {"python": platform.python_version(), "jax": jax.__version__, **field.versions()}
    text = ", ".join(f"{name} {told.partition(';')[0]}" for name, told in versions.items())
    return {
        "about": f"{kind}, {os.cpu_count()} cores, {settings.dtype}, "
        f"{settings.size} x {settings.size}, batch {settings.batch} and {settings.vgg_batch}; "
        f"{text}",
        "mode": mode,
        "settings": asdict(settings),
        "versions": versions,
        "device": {
            "kind": kind,
            "count": jax.device_count(),
            "cores": os.cpu_count(),
        },
        "load_average": os.getloadavg(),
    }


def _print_row(row: Json, *, about: str) -> None:
    """Print a row in a line that can be pasted: our rate, each ratio, rounds, load and machine."""
    from tljax.report.pictures.benchmark import row_line

    print(f"{row_line(row)} | {about}", file=sys.stderr, flush=True)


def _leave(results: Json, folder: Path, *, as_json: bool) -> None:
    from tljax.files import disk
    from tljax.report.pictures.benchmark import benchmark_table, write_benchmark

    disk.write_json(folder / "benchmark.json", results)
    picture = write_benchmark(results, folder / "benchmark.png")
    print(json.dumps(results, indent=1) if as_json else f"{benchmark_table(results)}\n\n{picture}")
