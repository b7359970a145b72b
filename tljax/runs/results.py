"""results.json: a row for each rung and seed of a run, written while it trains, and read."""

# pyright: strict

import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Self, TypeVar, cast

from tljax.errors import InputError
from tljax.files import disk
from tljax.files.disk import Json
from tljax.tasks.known import of_results
from tljax.tasks.task import Task

FILE = "results.json"
KINDS: dict[type | UnionType, str] = {
    str: "a text",
    int: "a whole number",
    dict: "an object",
    list: "a list",
    float | int: "a number or null",
}
T = TypeVar("T")


class Results:
    """The results of a run while it trains; each change is written whole, by the first process."""

    def __init__(self, path: Path, document: Json, *, order: Sequence[str] = ()) -> None:
        """Hold the document; `order` are the rungs as a reader meets them, however they train."""
        self._path, self._document, self._order = path, document, list(order)

    @classmethod
    def begin(
        cls, path: Path, *, task: Json, data: Json, environment: Json, order: Sequence[str] = ()
    ) -> Self:
        """Write results of a task without a row."""
        document: Json = {"task": task, "data": data, "environment": environment, "rungs": []}
        results = cls(path, document, order=order)
        results._write()
        return results

    @classmethod
    def resume(cls, path: Path, *, order: Sequence[str] = ()) -> Self:
        """Read the results that a run has written; InputError for a damaged file."""
        return cls(path, read_written(path), order=order)

    def note(self, name: str, value: Json) -> None:
        """Add something about the whole run."""
        self._document[name] = disk.finite(value)
        self._write()

    def add(self, row: Json) -> None:
        """Add the row of a rung and seed, in place of one from before."""
        rows = [*self._others(row["name"], row["seed"]), row]
        place = {name: number for number, name in enumerate(self._order)}
        self._document["rungs"] = sorted(rows, key=lambda row: place.get(row["name"], len(place)))
        self._write()

    def has(self, rung: str, *, seed: int) -> bool:
        """Tell whether a rung and seed is finished."""
        return len(self._others(rung, seed)) < len(self._document["rungs"])

    def finished(self, rung: str) -> bool:
        """Tell whether a rung is finished with any seed."""
        return any(row["name"] == rung for row in self._document["rungs"])

    def _others(self, rung: str, seed: int) -> list[Json]:
        rows: list[Json] = self._document["rungs"]
        return [row for row in rows if (row["name"], row["seed"]) != (rung, seed)]

    def _write(self) -> None:
        from tljax.machine import processes  # with JAX, which a reader of results does without

        if processes.first():
            disk.write_json(self._path, self._document)


def read_written(path: Path) -> Json:
    """Read a JSON document that this run has written; InputError for a damaged file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected what the run wrote, found {error}") from None


def read_json(path: Path) -> Json:
    """Read the object in a JSON file; InputError names the file and the line where it breaks."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: expected a readable file: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: line {error.lineno}: expected JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected UTF-8 text: {error.reason} at byte {error.start}"
        ) from None
    except (ValueError, RecursionError):  # integers of thousands of digits, lists in lists in lists
        raise InputError(
            f"{path}: expected plain JSON, found numbers too long or nesting too deep"
        ) from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: line 1: expected a JSON object, found {type(value).__name__}")
    return cast(Json, value)


def typed(record: Json, field: str, kind: type[T], where: str) -> T:
    """Return record[field] if it is of that kind; otherwise raise an InputError.

    The message starts with `where`.
    """
    return _of_kind(record, field, kind, where)


def objects(record: Json, field: str, where: str) -> Json:
    """Return record[field] if it is an object; otherwise raise an InputError like `typed`."""
    return _of_kind(record, field, dict, where)


def number(record: Json, field: str, where: str) -> float:
    """Return record[field] as a float, null as NaN; InputError if it is absent or not a number."""
    if field in record and record[field] is None:
        return math.nan
    try:
        return float(_of_kind(record, field, float | int, where))
    except OverflowError:
        raise InputError(f"{where}: '{field}': expected a number, found one too large") from None


def read_results(path: Path) -> Json:
    """Read results.json and check that every row of `rungs` has what the table shows.

    Null measures become NaN.
    """
    results = read_json(path)
    objects(results, "data", str(path))
    rows: list[object] = _of_kind(results, "rungs", list, str(path))
    task = _task(results, path)
    checked = [_checked(row, f"{path}: rungs[{i}]", task) for i, row in enumerate(rows)]
    return results | {"task": task.to_dict(), "rungs": checked}


def _task(results: Json, path: Path) -> Task:
    """Return the task of results; those of an earlier version are of classification."""
    try:
        return of_results(results)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def by_rung(results: Json) -> dict[str, list[Json]]:
    """Group rows by rung name, in order of seed; rungs in file order.

    The last row of a repeated seed counts.
    """
    rungs: dict[str, dict[int, Json]] = {}
    for row in results["rungs"]:
        rungs.setdefault(row["name"], {})[row["seed"]] = row
    return {name: [rows[seed] for seed in sorted(rows)] for name, rows in rungs.items()}


def _of_kind(record: Json, field: str, kind: type | UnionType, where: str) -> Any:
    value = record.get(field)
    if not isinstance(value, kind):
        raise InputError(f"{where}: '{field}': expected {KINDS[kind]}, found {json.dumps(value)}")
    return value


def _checked(entry: object, where: str, task: Task) -> Json:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: expected an object, found {type(entry).__name__}")
    row = cast(Json, entry)
    where = f"{where} ({typed(row, 'name', str, where)}, seed {typed(row, 'seed', int, where)})"
    for field in ("epochs", "trainable_params", "total_params"):
        typed(row, field, int, where)
    splits = {
        split: _scores(row, split, where, task)
        for split in ("validation", *(["test"] if "test" in row else []))
    }
    measured = {field: number(row, field, where) for field in ("seconds", "images_per_second")}
    return row | measured | splits


def _scores(row: Json, split: str, where: str, task: Task) -> Json:
    record = objects(row, split, where)
    typed(record, "n", int, f"{where}: {split}")
    names = [*(each.name for each in task.measures), "loss"]
    scores = {field: number(record, field, f"{where}: {split}") for field in names}
    for name in (each.name for each in task.measures if each.share):
        if scores[name] < 0 or scores[name] > 1:
            raise InputError(f"{where}: {split}: {name!r}: expected 0 to 1, found {scores[name]}")
    return record | scores
