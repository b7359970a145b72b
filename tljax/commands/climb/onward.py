"""The commands that follow a run, printed at its end for pasting."""

import os
import shlex
import sys
from pathlib import Path

from tljax.report.tables import paired, table
from tljax.runs.results import Json, by_rung
from tljax.tasks.known import of_results

OPENERS = {"darwin": "open", "win32": "start"}  # elsewhere xdg-open


def say_next(run: Path, *, page: Path, results: Json, quiet: bool) -> None:
    """Print how to classify an example with the run, and how to open its page; not if `quiet`.

    Where its best rung learnt nothing there is nothing to classify with, and that is said, always.
    """
    rungs = by_rung(results)
    best = paired.best_rung(results, rungs) if rungs else ""
    learnt = not rungs or table.learnt(rungs[best])
    if not learnt:
        print(f"\nnothing was learnt: {best} is the best rung; do not use what this run predicts")
    if quiet:
        return
    example = of_results(results).example
    given = "'A SENTENCE'    # of yours" if example else "PHOTO.jpg    # a photograph of yours"
    print(f"\ntljax predict --run {short(run)} {given}" if learnt else "")
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
