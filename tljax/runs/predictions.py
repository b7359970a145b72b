"""predictions/*.npz: what each rung leaves of the same examples, written, read and checked.

For most tasks that is their logits; `Task.kept` says what it is.
"""

# pyright: strict

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tljax.data.examples import Part
from tljax.errors import InputError
from tljax.files import npz
from tljax.files.disk import Json
from tljax.runs.results import by_rung
from tljax.tasks.classification import CLASSIFICATION, two_sided
from tljax.tasks.known import of_results
from tljax.tasks.task import Task

FOLDER = "predictions"
FIELDS = {"logits": "", "labels": "", "ids": "U1", "classes": "U1", "digest": "U0"}
SUFFIXES = {"validation": "", "test": ".test"}


@dataclass(frozen=True)
class Predictions:
    """What is kept of one rung on one split, one run per seed.

    Logits, probabilities and what follows from them are those of a classification.
    """

    seeds: tuple[int, ...]
    kept: np.ndarray  # [S, N, ...] float64
    labels: np.ndarray  # [N, ...]
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    task: Task = CLASSIFICATION

    @functools.cached_property
    def logits(self) -> np.ndarray:
        """Return the logits `[S, N, classes]`."""
        return two_sided(self.kept)

    @functools.cached_property
    def figures(self) -> dict[str, np.ndarray]:
        """Compute the task's figures `[S, N, ...]` of each run and example."""
        runs = [self.task.kept_figures(kept, self.labels) for kept in self.kept]
        return {name: np.stack([run[name] for run in runs]) for name in runs[0]}

    def figures_of(self, seed: int) -> dict[str, np.ndarray]:
        """Return the figures `[N, ...]` of one seed's run."""
        place = self.seeds.index(seed)
        return {name: each[place] for name, each in self.figures.items()}

    @property
    def probabilities(self) -> np.ndarray:
        """Compute the softmax of the logits, `[S, N, classes]`."""
        return softmax(self.logits)

    @property
    def predicted(self) -> np.ndarray:
        """Return the class of the highest logit, `[S, N]`.

        It is the first of equal logits, as in training.
        """
        return self.logits.argmax(-1)

    @property
    def right(self) -> np.ndarray:
        """Tell whether each image is classified correctly, `[S, N]` bool."""
        return self.predicted == self.labels


def path_of(workdir: Path, rung: str, *, seed: int, split: str) -> Path:
    """Return the file of a rung, seed and split: `RUNG-seedS.npz`, or `RUNG-seedS.test.npz`."""
    return workdir / FOLDER / f"{rung}-seed{seed}{SUFFIXES[split]}.npz"


def write(
    path: Path, logits: np.ndarray, *, split: Part, classes: tuple[str, ...], digest: str
) -> Path:
    """Write what is kept `[N, ...]` of one split, whole or not at all; return the path.

    The file has the arrays named in `FIELDS`, and can be read without pickle. `digest` is that of
    the data.
    """
    arrays = {
        "logits": np.asarray(logits),
        "labels": np.asarray(split.labels),
        "ids": np.array(split.ids, dtype=np.str_),
        "classes": np.array(classes, dtype=np.str_),
        "digest": np.array(digest, dtype=np.str_),
    }
    return npz.write(path, arrays)


def read(workdir: Path, results: Json, *, split: str = "validation") -> dict[str, Predictions]:
    """Read rung name -> predictions, for the rungs that have them for all their seeds.

    Empty for runs made before predictions were kept. A rung with a diverged seed has no meaningful
    probabilities and is left out; the table has its NaN.

    InputError names a damaged file, one of other photographs, or one whose accuracy is not that of
    results.json.
    """
    rungs: dict[str, Predictions] = {}
    task = of_results(results)
    for name, rows in by_rung(results).items():
        paths = [path_of(workdir, name, seed=row["seed"], split=split) for row in rows]
        if all(path.is_file() for path in paths):
            parts = [_read(path, results["data"], task) for path in paths]
            if all(np.isfinite(part["logits"]).all() for part in parts):
                rungs[name] = _together(parts, paths, [row["seed"] for row in rows], task)
                _check(rungs[name], rows, paths, split)
    for name, each in rungs.items():
        first = next(iter(rungs.values()))
        if each.ids != first.ids or not np.array_equal(each.labels, first.labels):
            raise InputError(
                f"{workdir / FOLDER}: {name}: expected the photographs of the other rungs"
            )
    return rungs


def together(paths: Sequence[Path], *, seeds: Sequence[int], data: Json, task: Task) -> Predictions:
    """Read the files of these seeds, all on the same examples; InputError as in `read`."""
    return _together([_read(path, data, task) for path in paths], paths, seeds, task)


def held_out(
    workdir: Path, results: Json
) -> tuple[str, dict[str, Predictions], dict[str, Predictions]]:
    """Choose the judged split: (its name, its predictions, those to fit a temperature on).

    The test split, with temperatures fitted on validation, where the run has one; otherwise
    validation, with nothing else to fit on.
    """
    validation, test = (read(workdir, results, split=split) for split in SUFFIXES)
    return ("test", test, validation) if test else ("validation", validation, {})


def _read(path: Path, data: Json, task: Task) -> dict[str, np.ndarray]:
    part = npz.read(path, FIELDS)
    logits, labels, classes = part["logits"], part["labels"], len(part["classes"])
    if labels.shape[:1] != logits.shape[:1] or part["ids"].shape != logits.shape[:1]:
        shapes = f"{logits.shape}, {labels.shape}, {part['ids'].shape}"
        raise InputError(
            f"{path}: expected logits [N, outputs], N labels and N ids, found {shapes}"
        )
    if logits.dtype.kind not in "fiu":
        raise InputError(f"{path}: logits: expected numbers, found {logits.dtype}")
    part["labels"] = task.checked(str(path), labels, count=len(logits))
    task.check(str(path), part["labels"], classes=classes)
    task.check_kept(str(path), logits, classes=classes)
    if "digest" in data and part["digest"].item() != data["digest"]:
        raise InputError(f"{path}: expected data {data['digest']}, found {part['digest'].item()}")
    return part


def _together(
    parts: Sequence[dict[str, np.ndarray]],
    paths: Sequence[Path],
    seeds: Sequence[int],
    task: Task,
) -> Predictions:
    first = parts[0]
    for part, path in zip(parts, paths, strict=True):
        if any(not np.array_equal(part[field], first[field]) for field in tuple(FIELDS)[1:]):
            raise InputError(f"{path}: expected the photographs and labels of {paths[0].name}")
    kept = np.stack([part["logits"] for part in parts]).astype(np.float64)
    ids, classes = (tuple(map(str, first[field])) for field in ("ids", "classes"))
    return Predictions(tuple(seeds), kept, first["labels"], ids, classes, task)


def _check(rung: Predictions, rows: Sequence[Json], paths: Sequence[Path], split: str) -> None:
    name = rung.task.monitor
    for place, (row, path) in enumerate(zip(rows, paths, strict=True)):
        saved = row.get(split, {}).get(name)
        summed = {key: each[place].sum(axis=0) for key, each in rung.figures.items()}
        found = rung.task.scores({**summed, "count": float(len(rung.labels))})[name]
        if saved is not None and np.isfinite(saved) and abs(found - saved) > 1e-9:
            raise InputError(f"{path}: expected {name} {saved} as in results.json, found {found}")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Compute the softmax over the last axis."""
    return np.exp(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))
