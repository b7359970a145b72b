"""The commands that follow a run, printed at its end for pasting."""

import os
import shlex
import sys
from pathlib import Path

from tljax.tasks.task import Task

OPENERS = {"darwin": "open", "win32": "start"}  # elsewhere xdg-open


def say_next(run: Path, *, page: Path, task: Task, quiet: bool) -> None:
    """Print how to classify an example with the run, and how to open its page; not if `quiet`."""
    if quiet:
        return
    given = "'A SENTENCE'    # of yours" if task.example else "PHOTO.jpg    # a photograph of yours"
    print(f"\ntljax predict --run {short(run)} {given}")
    say_open(page)


def say_open(page: Path) -> None:
    """Print how to open a page."""
    print(f"{OPENERS.get(sys.platform, 'xdg-open')} {short(page)}")


def short(path: Path) -> str:
    """Quote a path for a shell, from the working directory where that is shorter."""
    whole = str(path.resolve())
    try:
        return shlex.quote(min(os.path.relpath(whole), whole, key=len))
    except ValueError:  # on Windows, another drive
        return shlex.quote(whole)
