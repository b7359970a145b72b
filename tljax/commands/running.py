"""How a command runs and ends: its data and trackers, a user's mistake, a signal."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import jax

from tljax import data
from tljax.commands import cli
from tljax.commands.text import read as texts
from tljax.data import ImageSets, decisions
from tljax.data.examples import Sets
from tljax.errors import InputError
from tljax.files.home import default_folder
from tljax.machine import processes, signals
from tljax.machine.provenance import command
from tljax.runs.tracking import TRACKERS
from tljax.runs.workdir import Listener
from tljax.tasks.classification import Classification
from tljax.tasks.text import TEXT


def tracked(args: argparse.Namespace, *, workdir: Path) -> list[Listener]:
    """Make the listener that `--log` names, in the first process; an empty list without it."""
    return [TRACKERS[args.log](workdir)] if args.log and processes.first() else []


def load(args: argparse.Namespace, source: str, *, size: int) -> ImageSets:
    """Load the data that the options name, from this source at this image size.

    InputError for texts, which commands that look at photographs are not for.
    """
    if args.task == TEXT.name or (args.task is None and texts.holds_texts(source)):
        raise InputError(f"{source}: expected photographs, found texts")
    sets = data.load(
        source,
        size=size,
        labels=data.Labels(
            args.task,
            args.file_column,
            args.label_columns,
            args.label_separator,
            args.classes,
            args.void,
        ),
        validation_fraction=args.validation_fraction,
        tolerance=data.Tolerance(
            skip_corrupt=args.skip_corrupt,
            allow_duplicates=args.allow_duplicates,
            follow_links=args.follow_links,
        ),
        places=data.Places(tfds=args.data_dir),
        progress=not args.quiet,
    )
    return decided(sets, args.decisions) if source == args.data else sets


def decided(sets: ImageSets, file: str | Path | None) -> ImageSets:
    """Apply what a person decided about labels in a file, if there is one, and say what changed."""
    if file is None:
        return sets
    changed, said = decisions.apply(sets, decisions.read(file), where=str(file))
    print(said, flush=True)
    return changed


def photographs_only(sets: Sets, command: str) -> ImageSets:
    """Return photographs; InputError for other data, which a command is not for."""
    if not isinstance(sets, ImageSets):
        raise InputError(f"{command}: expected photographs, found {sets.name}")
    return sets


def classes_only(sets: Sets, command: str) -> None:
    """Refuse data of another task than classification, which a command is not for."""
    if not isinstance(sets.task, Classification):
        raise InputError(f"{command}: expected classes, found data for {sets.task.name}")


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
        how = f"; to go on: {shlex.join(words)}" if cli.can_resume() else ""
        print(f"stopped by {stop}{how}", file=sys.stderr)
        raise SystemExit(128 + stop.number) from None
    except BrokenPipeError:
        if not _unread():
            raise
        raise SystemExit(141) from None  # 128 + SIGPIPE, as of a program that does not catch it
    except ModuleNotFoundError as error:
        if error.name != "resource":  # the benchmark's clock of processes
            raise
        print("error: this command wants Linux or macOS, or WSL on Windows", file=sys.stderr)
        raise SystemExit(2) from None
    except InputError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        if jax.distributed.is_initialized():
            os._exit(2)  # an ordinary exit would wait for processes that wait for this one
        raise SystemExit(2) from None


def _unread() -> bool:
    """Say whether nobody reads what is printed any more, as after `| head`; then print nowhere."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _keep_compilations() -> None:
    """Keep compiled programs in the cache, where it can be written; else they are compiled anew.

    What a GPU's compiler timed to choose kernels is kept beside them, for other programs with the
    same ones. JAX's own JAX_COMPILATION_CACHE_DIR is the place where it is set.
    """
    folder = Path(os.environ.get("JAX_COMPILATION_CACHE_DIR") or default_folder() / "xla")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    # Not "all", which keeps kernels too and compiles every module in another way to do so.
    autotuned = "xla_gpu_per_fusion_autotune_cache_dir"
    jax.config.update("jax_persistent_cache_enable_xla_caches", autotuned)
