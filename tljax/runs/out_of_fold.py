"""out_of_fold/*.npz: the logits of each training photograph by a run that had not seen it."""

# pyright: strict

from pathlib import Path

import numpy as np

from tljax.data import ImageSets
from tljax.data.examples import Sets
from tljax.errors import InputError
from tljax.files import npz
from tljax.files.disk import Json
from tljax.runs import predictions
from tljax.runs.predictions import Predictions, softmax
from tljax.tasks.classification import two_sided
from tljax.tasks.known import of_results

FOLDER = "out_of_fold"
FILE = "cross_validate.json"  # its document, in the run's folder
NAME, SPLIT = "cross-validate", "held-out"  # as rungs and splits are named


def write(workdir: Path, logits: np.ndarray, *, seed: int, sets: Sets) -> Path:
    """Write the logits `[N, outputs]` of one seed on the training photographs."""
    path = workdir / FOLDER / f"seed{seed}.npz"
    path.parent.mkdir(exist_ok=True)
    return predictions.write(
        path, logits, split=sets.train, classes=sets.classes, digest=sets.digest
    )


def is_in(workdir: Path) -> bool:
    """Tell whether a folder holds a finished cross-validation."""
    return (workdir / FILE).is_file()


def read(workdir: Path, results: Json) -> tuple[Json, dict[str, Predictions]]:
    """Read a finished cross-validation as the results of one rung, `NAME`, judged on `SPLIT`.

    `results` are those of its folder, which has no rung. InputError names a damaged file.
    """
    found = sorted(
        (int(path.stem.removeprefix("seed")), path)
        for path in (workdir / FOLDER).glob("seed*.npz")
        if path.stem.removeprefix("seed").isdecimal()
    )
    if not found:
        raise InputError(f"{workdir}: expected {FOLDER}/ beside {FILE}, found none")
    task = of_results(results)
    seeds, paths = zip(*found, strict=True)
    kept = predictions.together(paths, seeds=seeds, data=results["data"], task=task)
    rows: list[Json] = [
        {"name": NAME, "seed": seed, SPLIT: task.judged(logits, kept.labels)}
        for seed, logits in zip(seeds, kept.kept, strict=True)
    ]
    return results | {"rungs": rows}, {NAME: kept}


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
