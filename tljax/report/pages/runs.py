"""Several runs on the same photographs, read together; runs on other photographs are refused."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tljax.errors import InputError
from tljax.report.tables import paired
from tljax.runs import metrics as records
from tljax.runs import out_of_fold, predictions
from tljax.runs.metrics import Series
from tljax.runs.predictions import Predictions
from tljax.runs.results import by_rung, read_json, read_results

# The command is shown as typed; these arguments do not influence the result.
NO_SETTINGS = (
    "command",
    *(f"arguments.{name}" for name in ("workdir", "quiet", "log", "overwrite", "resume")),
)
MOST = 6  # runs, because the pictures have six colours


@dataclass(frozen=True)
class Run:
    """One run's files, under a short name of its own."""

    name: str
    config: dict
    results: dict
    metrics: dict[str, dict[int, Series]]
    predictions: dict[str, Predictions]  # of the rungs that kept them


def read_runs(workdirs: Sequence[Path]) -> tuple[str, list[Run]]:
    """Read the runs in this order: (the judged split, runs).

    The split is test where every rung was tested, otherwise validation; of cross-validations
    `out_of_fold.SPLIT`. InputError, in one line, for other than 2 to 6 runs, a run given twice, a
    damaged file, runs on other photographs, or a cross-validation beside a run of rungs.
    """
    folders = [Path(path).resolve() for path in workdirs]
    if not 2 <= len(folders) <= MOST or len(set(folders)) < len(folders):
        raise InputError(
            f"expected 2 to {MOST} runs, each once, found {', '.join(map(str, workdirs)) or 'none'}"
        )
    results = [read_results(folder / "results.json") for folder in folders]
    _same_data(folders, results)
    pairs = list(zip(folders, results, strict=True))
    folded = [out_of_fold.is_in(folder) for folder in folders]
    if any(folded) and not all(folded):
        raise InputError(
            f"{folders[folded.index(True)]}: expected a run of rungs, as the others are, found a "
            "cross-validation: compare it with other cross-validations"
        )
    rows = [row for each in results for row in each["rungs"]]
    split = "test" if rows and all("test" in row for row in rows) else "validation"
    split = out_of_fold.SPLIT if all(folded) else split
    runs = [_run(n, *pair, split=split) for n, pair in zip(_names(folders), pairs, strict=True)]
    _same_images(runs)
    return split, runs


def rungs(runs: Sequence[Run]) -> list[str]:
    """List the rungs of all runs, in order of first appearance."""
    return list(dict.fromkeys(rung for run in runs for rung in by_rung(run.results)))


def difference_lines(runs: Sequence[Run]) -> list[str]:
    """Compare the rungs that several runs have, each with the first run's, then the best rungs.

    A sentence for each comparison.
    """
    lines = []
    for rung in rungs(runs):
        having = [run for run in runs if rung in run.predictions]
        lines += [f"{rung}: {_sentence(run, having[0], rung, rung)}" for run in having[1:]]
    judged = [
        (run, paired.best_rung(run.results, run.predictions)) for run in runs if run.predictions
    ]
    for run, best in judged[1:]:
        first, best_of_first = judged[0]
        if best != best_of_first:
            lines.append(
                f"best rungs: {_sentence(run, first, best, best_of_first, with_rungs=True)}"
            )
    return lines


def unequal(documents: Mapping[str, dict]) -> list[tuple[str, ...]]:
    """List (path, value in each document) for what differs between JSON documents.

    "absent" where a document has no such value. Where a whole part is absent from one, the part is
    one row.
    """
    return [row for row in _unequal(list(documents.values()), "") if row[0] not in NO_SETTINGS]


def _unequal(values: Sequence[Any], path: str) -> list[tuple[str, ...]]:
    if all(value == values[0] for value in values):
        return []
    if not all(isinstance(value, dict) for value in values):
        return [(path, *map(_text, values))]
    names = dict.fromkeys(name for value in values for name in value)
    below = (
        (f"{path}.{name}" if path else name, [value.get(name, _ABSENT) for value in values])
        for name in names
    )
    return [row for where, each in below for row in _unequal(each, where)]


_ABSENT = object()


def _text(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    if isinstance(value, dict):
        return "present"
    return value if isinstance(value, str) else json.dumps(value)


def _sentence(one: Run, other: Run, rung: str, against: str, *, with_rungs: bool = False) -> str:
    name, name_of_other = (
        f"{run.name} ({each})" if with_rungs else run.name
        for run, each in ((one, rung), (other, against))
    )
    difference = paired.compare(
        name, name_of_other, one.predictions[rung], other.predictions[against]
    )
    if difference is None:
        return f"{name} and {name_of_other} share no seed"
    return paired.sentence(difference)


def _run(name: str, folder: Path, results: dict, *, split: str) -> Run:
    if split == out_of_fold.SPLIT:
        of_folds, kept = out_of_fold.read(folder, results)
        return Run(name, read_json(folder / "config.json"), of_folds, {}, kept)
    metrics = records.read_begun(folder / "metrics.jsonl", results)
    rung_predictions = predictions.read(folder, results, split=split)
    return Run(name, read_json(folder / "config.json"), results, metrics, rung_predictions)


def _same_data(folders: Sequence[Path], results: Sequence[dict]) -> None:
    digests = [str(each["data"].get("digest")) for each in results]
    for folder, digest in zip(folders, digests, strict=True):
        if digest != digests[0]:
            raise InputError(
                f"{folder}: expected the photographs of {folders[0].name} "
                f"(sha256 {digests[0][:12]}), "
                f"found others ({digest[:12]}): only runs on the same ones can be compared"
            )


def _same_images(runs: Sequence[Run]) -> None:
    # A run's rungs agree already.
    judged = [(run.name, next(iter(run.predictions.values()))) for run in runs if run.predictions]
    for name, one in judged[1:]:
        first, other = judged[0]
        if (
            one.ids != other.ids
            or not np.array_equal(one.labels, other.labels)
            or one.classes != other.classes
        ):
            raise InputError(
                f"{name}: expected predictions on the photographs and classes of {first}"
            )


def _names(folders: Sequence[Path]) -> list[str]:
    """Shorten each path to as few trailing parts as tell them apart."""
    for count in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-count:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    return list(map(str, folders))
