"""What lies in a run's folder: which files and folders are a run's, and removing them.

The list of files is in docs/runs.md.
"""

# pyright: strict

import shutil
from pathlib import Path

from tljax.errors import InputError
from tljax.runs import metrics, out_of_fold, predictions, results

FEATURES = "features.json"
COMPILER_LOG = "compiler.log"  # on an accelerator: what XLA says while it compiles
CALLS = "calls"  # the folder where a sweep keeps them
FOLDERS = (
    "checkpoints",
    predictions.FOLDER,
    out_of_fold.FOLDER,
    "progress",
    "tensorboard",
    CALLS,
)
FILES = (  # that a run leaves, besides its configuration
    metrics.FILE,
    results.FILE,
    "report.html",
    "ladder.png",
    "reliability.png",
    "confusion.png",
    "curves_*.png",
    "schedules.*",
    "rates.png",
    "lr_find*",
    "range_test_*.png",
    "photographs.npz",
    "sentences.npz",
    "masks.npz",
    "told.npz",
    "numbers.png",
    FEATURES,
    COMPILER_LOG,
    "sweep.*",
    out_of_fold.FILE,
    "shifted.*",
    *(f"{name}.*" for name in ("interpolate", "soup", "surgical", "low_rank", "looks")),
    *(f"{name}.*" for name in ("labels", "head2toe")),
    "kept.png",
    "moved.png",
    "suspects.html",
)


def run_in(path: Path) -> str | None:
    """Name what shows that a folder holds a run: an epoch that ended, or something to resume."""
    if metrics.any_epoch(path / metrics.FILE):
        return metrics.FILE
    return next((name for name in ("progress", CALLS) if (path / name).exists()), None)


def make(path: Path) -> None:
    """Make a run's folder; InputError where it cannot be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--workdir: expected a folder that can be written, found {error}"
        ) from None


def clear(path: Path) -> None:
    """Remove the run that lies in a folder, except saved features and what is not of a run."""
    # Checkpoints too: the steps in a folder of them must grow, and a new run starts at the first.
    for folder in FOLDERS:
        shutil.rmtree(path / folder, ignore_errors=True)
    for old in [file for pattern in FILES for file in path.glob(pattern)]:
        old.unlink()
