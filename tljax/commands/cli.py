"""Options that the commands share, and how a command ends."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import jax

from tljax import config, data
from tljax.commands import door
from tljax.commands.columns import add_columns, columns_of
from tljax.data import ImageSets
from tljax.errors import InputError
from tljax.files.home import at_home, default_folder
from tljax.machine import processes, signals
from tljax.machine.provenance import command
from tljax.models.build import BASES, named
from tljax.models.own import own_base
from tljax.runs.tracking import TRACKERS
from tljax.runs.workdir import Listener
from tljax.tasks.known import TASKS

DETERMINISTIC = "--xla_gpu_deterministic_ops=true"  # read when JAX starts its first device
SOURCES = "a folder of class folders, csv:FILE, tfds:NAME, critters or critters:source"
ON, BASE, HOW = "what to train on", "what to train", "how it is trained"  # groups of --help
WHERE = "where it goes"
_resumes = False  # whether the command has --resume


class _Parser(argparse.ArgumentParser):
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
            print(_deterministic_costs(jax.default_backend()), file=sys.stderr, flush=True)
        return parsed

    def error(self, message: str) -> NoReturn:
        """Print one line, like every other mistake of a user's; the usage is in --help."""
        self.exit(2, f"error: {message}\n")


def parser(
    doc: str | None, *, experiment: str, source: str = "critters", size: int | None = config.SIZE
) -> argparse.ArgumentParser:
    """Make a parser with the options of every experiment that trains.

    `doc` is the module's docstring.
    """
    global _resumes
    _resumes = True
    new = bare_parser(doc, experiment=experiment)
    new.usage = "%(prog)s [options]"  # they are listed below it, in groups
    _add_photographs(group(new, ON), source=source, size=size)
    group(new, BASE)  # a command's own, in this place
    _add_training(group(new, HOW))
    _add_folder(group(new, WHERE), experiment=experiment)
    _add_machine(group(new, "devices and processes"))
    return new


def group(new: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """Return the group of options with this title, made at the first call."""
    made = (each for each in new._action_groups if each.title == title)
    return next(made, None) or new.add_argument_group(title)


def _add_photographs(group: argparse._ArgumentGroup, *, source: str, size: int | None) -> None:
    group.add_argument("--data", default=source, metavar="SOURCE", help=f"{SOURCES} ({source})")
    add_reading(group, size=size)


def add_reading(group: argparse._ActionsContainer, *, size: int | None) -> None:
    """Add the options that say how the photographs of a source are read."""
    add = group.add_argument
    add(
        "--task",
        choices=sorted(TASKS),
        help="what is learnt of an example (told from the data where it can be)",
    )
    add_columns(group)
    add(
        "--validation-fraction",
        type=fraction,
        default=0.2,
        metavar="FRACTION",
        help="share held out for validation, of a source without such a split (0.2)",
    )
    sides = size or f"the base's, or {config.LECTURE_SIZE}; {config.SIZE} for critters"
    add(
        "--size",
        type=positive,
        default=size,
        metavar="PIXELS",
        help=f"side of the square images ({sides})",
    )
    add(
        "--skip-corrupt",
        action="store_true",
        help="leave out photographs that cannot be read, and count them",
    )
    add(
        "--allow-duplicates",
        action="store_true",
        help="allow the same photograph in training and validation, or in two classes",
    )
    add(
        "--follow-links",
        action="store_true",
        help="read photographs through links that leave their folder",
    )
    add(
        "--data-dir",
        type=path,
        metavar="DIR",
        help="where TFDS keeps its data sets ($TFDS_DATA_DIR, or TFDS's own)",
    )


def _add_folder(group: argparse._ArgumentGroup, *, experiment: str) -> None:
    add = group.add_argument
    add("--workdir", type=path, metavar="DIR", help=f"where the run's files go (runs/{experiment})")
    add(
        "--overwrite",
        action="store_true",
        help="replace a run or a weights file that is there; saved features are kept",
    )
    add(
        "--resume",
        action="store_true",
        help="continue the run in the workdir where it stopped, to the same bits",
    )
    add(
        "--resume-anyway",
        action="store_true",
        help="as --resume, even where data, base, plan or arguments differ; a finished rung stays "
        "as it is",
    )
    add("--quiet", action="store_true", help="print the result and what is wrong, nothing else")


def _add_training(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--epochs", type=positive, metavar="N", help="epochs of every stage (the preset's)")
    add(
        "--budget",
        type=fraction,
        default=1.0,
        metavar="FRACTION",
        help="train this share of the preset's epochs: 0.1 is a tenth (1.0)",
    )
    add(
        "--skip-nonfinite",
        action="store_true",
        help="skip and count steps whose loss or gradient is NaN or infinite "
        "(the first one ends the run)",
    )
    keeps = (
        "train a stage that collapses to its end and keep what is left "
        "(it goes back to its best epoch)"
    )
    add("--keep-going", action="store_true", help=keeps)
    add(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="numbers that are computed with; bfloat16 is faster on an accelerator (float32)",
    )


def _add_machine(group: argparse._ArgumentGroup) -> None:
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


def log_option(new: argparse.ArgumentParser) -> None:
    """Add the option that names where each epoch's record goes, in addition to the run's files."""
    group(new, WHERE).add_argument(
        "--log", choices=sorted(TRACKERS), help="also log each epoch there (the run's files alone)"
    )


def tracked(args: argparse.Namespace, *, workdir: Path) -> list[Listener]:
    """Make the listener that `--log` names, in the first process; an empty list without it."""
    return [TRACKERS[args.log](workdir)] if args.log and processes.first() else []


def bare_parser(doc: str | None, *, experiment: str) -> argparse.ArgumentParser:
    """Make a parser without options; `doc` is the module's docstring."""
    return _Parser(
        prog=door.called(experiment),
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def load(args: argparse.Namespace, source: str, *, size: int) -> ImageSets:
    """Load the data that the options name, from this source at this image size."""
    return data.load(
        source,
        size=size,
        data_dir=args.data_dir,
        task=args.task,
        columns=columns_of(args),
        validation_fraction=args.validation_fraction,
        tolerance=data.Tolerance(
            skip_corrupt=args.skip_corrupt,
            allow_duplicates=args.allow_duplicates,
            follow_links=args.follow_links,
        ),
        progress=not args.quiet,
    )


def run(main: Callable[[], None]) -> None:
    """Call a command's main function, with compilations kept on disk.

    A user's mistake ends in one line and status 2, a signal in one line and 128 plus its number.
    """
    try:
        _keep_compilations()
        with signals.caught():
            main()
    except signals.Interrupted as stop:
        words = [*command(), *([] if "--resume" in sys.argv else ["--resume"])]
        how = f"; to go on: {shlex.join(words)}" if _resumes else ""
        print(f"stopped by {stop}{how}", file=sys.stderr)
        raise SystemExit(128 + stop.number) from None
    except ModuleNotFoundError as error:
        if error.name != "resource":  # the benchmark's clock of processes
            raise
        print("error: this command wants Linux or macOS, or WSL on Windows", file=sys.stderr)
        raise SystemExit(2) from None
    except InputError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr, flush=True)
        if jax.distributed.is_initialized():
            os._exit(2)  # an ordinary exit would wait for processes that wait for this one
        raise SystemExit(2) from None


def _keep_compilations() -> None:
    """Keep compiled programs in the cache, where it can be written; else they are compiled anew."""
    folder = default_folder() / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _deterministic_costs(platform: str) -> str:
    if platform == "gpu":
        return (
            "--deterministic: XLA leaves out operations whose sums have no fixed order, and takes "
            "the first algorithm for a convolution in place of the fastest it measures: slower "
            "steps, no tuning before the first one"
        )
    return (
        f"--deterministic changes nothing on {platform.upper()}: the same command gives the same "
        "bits there anyway"
    )


def one_line(text: str) -> str:
    """Escape newlines and direction marks, which a file's name may hold."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def path(text: str) -> Path:
    """Read an option that is a path, with a home folder in place of `~`."""
    try:
        return at_home(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive(text: str) -> int:
    """Read an option that must be a whole number, 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, found {text}")
    return value


def fraction(text: str) -> float:
    """Read an option that must be a positive, finite number."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, found {text}")
    return value


def run_options(parser: argparse.ArgumentParser) -> None:
    """Add --run, and which of its classifiers."""
    add = parser.add_argument
    where = "the folder of a run, or one that Trained.save wrote"
    add("--run", type=path, required=True, metavar="DIR", help=where)
    add("--rung", help="which of its rungs (the best in validation)")
    add("--seed", type=int, metavar="N", help="which of its seeds (the best in validation)")


def base_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add --base: a base network by name, or a Python file with one of your own."""
    parser.add_argument(
        "--base",
        type=_base,
        metavar="NAME",
        help="the base network where --weights does not say which: "
        f"{', '.join(name for name, base in BASES.items() if base.pretrained)}, "
        "or FILE.py with an Architecture of your own",
    )


def _base(text: str) -> str:
    try:
        return own_base(Path(text)) if text.endswith(".py") else named(text).name
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
