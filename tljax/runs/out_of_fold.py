"""out_of_fold/*.npz: the logits of each training photograph by a run that had not seen it."""

# pyright: strict

from pathlib import Path

import numpy as np

from tljax.data import ImageSets
from tljax.data.examples import Sets
from tljax.errors import InputError
from tljax.files import npz
from tljax.runs import predictions
from tljax.runs.predictions import softmax
from tljax.tasks.classification import two_sided

FOLDER = "out_of_fold"


def write(workdir: Path, logits: np.ndarray, *, seed: int, sets: Sets) -> Path:
    """Write the logits `[N, outputs]` of one seed on the training photographs."""
    path = workdir / FOLDER / f"seed{seed}.npz"
    path.parent.mkdir(exist_ok=True)
    return predictions.write(
        path, logits, split=sets.train, classes=sets.classes, digest=sets.digest
    )


def probabilities(workdir: Path, sets: ImageSets) -> np.ndarray:
    """Read the mean probabilities over seeds, `[N, classes]` float64.

    InputError where there are none, or those of other photographs.
    """
    paths = sorted((workdir / FOLDER).glob("seed*.npz"))
    if not paths:
        raise InputError(
            f"{workdir}: expected {FOLDER}/, which tljax cross-validate leaves, found none"
        )
    parts: list[np.ndarray] = []
    for path in paths:
        part = npz.read(path, predictions.FIELDS)
        if part["digest"].item() != sets.digest or tuple(part["ids"]) != sets.train.ids:
            raise InputError(f"{path}: expected the training photographs of {sets.name}")
        parts.append(softmax(two_sided(part["logits"].astype(np.float64))))
    return np.mean(parts, axis=0)
