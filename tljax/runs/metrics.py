"""metrics.jsonl: a line for each epoch of a run, appended, replaced, read and checked."""

# pyright: strict

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from tljax.errors import InputError
from tljax.files import disk
from tljax.files.disk import Json
from tljax.runs.results import number, objects, typed

FILE = "metrics.jsonl"
# "epoch" i64 [E] and "train/loss", "validation/accuracy", "rate/head/.*", "step", ... f64 [E]
Series = dict[str, np.ndarray]
Record = Json  # of one epoch: rung, seed, epoch, step, train, validation, rates, ...

RATE = "rate/"  # before a rule's pattern, in the name of a series
SPLITS = {"train": "training", "validation": "validation"}  # as the files and as people call them


def append(path: Path, record: Record) -> None:
    """Append one epoch's line; numbers that are not finite become null."""
    with disk.refusal(path.parent), open(path, "a", encoding="utf-8") as file:
        file.write(_line(record))


def replace(path: Path, records: Sequence[Record], *, rung: str, seed: int) -> None:
    """Replace the lines of one rung and seed; without records they are removed.

    Half a line at the end, which a killed run leaves, is removed too.
    """
    if not path.exists() and not records:
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    pairs = [(line, json.loads(line)) for line in lines if line.endswith("\n")]
    others = [line for line, record in pairs if (record["rung"], record["seed"]) != (rung, seed)]
    disk.write(path, "".join([*others, *(_line(record) for record in records)]).encode())


def any_epoch(path: Path) -> bool:
    """Tell whether the file tells of an epoch after the start, epoch 0, or cannot be read.

    False where there is no file, or nothing but starts and half a line, which a killed run leaves.
    """
    if not path.exists():
        return False
    try:
        *lines, last = path.read_bytes().split(b"\n")
    except OSError:
        return True
    ended = any(_after_start(line) for line in lines if line.strip())
    return ended or bool(last.strip() and _after_start(last, broken=False))


def read_metrics(path: Path) -> dict[str, dict[int, Series]]:
    """Read rung -> seed -> series in order of epoch; rungs in file order.

    The last line of a repeated (rung, seed, epoch) counts: a resumed run appends to the same file.
    """
    rungs: dict[str, dict[int, dict[int, dict[str, float]]]] = {}
    for place, line in enumerate(_lines(path), start=1):
        if line.strip():
            rung, seed, epoch, values = _record(line, where=f"{path}: line {place}")
            rungs.setdefault(rung, {}).setdefault(seed, {})[epoch] = values
    return {
        rung: {seed: _series(by_epoch) for seed, by_epoch in seeds.items()}
        for rung, seeds in rungs.items()
    }


def read_begun(path: Path, results: Json) -> dict[str, dict[int, Series]]:
    """Read the metrics of a run that may have no file yet, because no rung has finished.

    The rungs come in the order of its results, and then those that have not ended.
    """
    found = read_metrics(path) if results["rungs"] or path.exists() else {}
    order = [row["name"] for row in results["rungs"]]
    return {name: found[name] for name in dict.fromkeys([*order, *found]) if name in found}


def read_records(path: Path, *, rung: str, seed: int) -> list[Record]:
    """Read the records of one rung and seed in order of epoch, null measures as NaN.

    Half a line at the end, which a killed run leaves, is left out. InputError for other damage.
    """
    records: dict[int, Record] = {}
    for place, line in enumerate(_lines(path, whole=True), start=1):
        if line.strip():
            record = _parsed(line, where=f"{path}: line {place}")
            name, of, epoch, _ = _values(record, where=f"{path}: line {place}")
            if (name, of) == (rung, seed):
                records[epoch] = _measured(record)
    return [records[epoch] for epoch in sorted(records)]


def series(records: Sequence[Record]) -> Series:
    """Arrange the records of one rung and seed as series."""
    values = [_values(record, where="history") for record in records]
    return _series({epoch: named for _, _, epoch, named in values})


def _line(record: Record) -> str:
    return json.dumps(disk.finite(record)) + "\n"


def _after_start(line: bytes, *, broken: bool = True) -> bool:
    """Tell whether a line is anything but a record of epoch 0; `broken` is said of no record."""
    try:
        return _parsed(line, where="").get("epoch") != 0
    except InputError:
        return broken


def _lines(path: Path, *, whole: bool = False) -> list[bytes]:
    """Split a file; with `whole` without a last line that does not end."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected a readable file: {error.strerror}") from None
    lines = data.splitlines()
    return lines[:-1] if whole and not data.endswith(b"\n") else lines


def _measured(value: Any) -> Any:
    """Put NaN where JSON has null."""
    if isinstance(value, dict):
        return {name: _measured(item) for name, item in cast(Json, value).items()}
    return math.nan if value is None else value


def _record(line: bytes, *, where: str) -> tuple[str, int, int, dict[str, float]]:
    return _values(_parsed(line, where=where), where=where)


def _parsed(line: bytes, *, where: str) -> Record:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: expected a JSON object: {error}") from None
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected a JSON object, found {type(record).__name__}")
    return cast(Record, record)


def _values(record: Record, *, where: str) -> tuple[str, int, int, dict[str, float]]:
    values: dict[str, float] = {}
    for split in SPLITS:
        scores = objects(record, split, where)
        names = ("loss", *(name for name in scores if name not in ("loss", "n")))
        values |= {f"{split}/{m}": number(scores, m, f"{where}: {split}") for m in names}
    values |= {"step": number(record, "step", where)} if "step" in record else {}
    rates = objects(record, "rates", where) if "rates" in record else {}
    values |= {RATE + pattern: number(rates, pattern, f"{where}: rates") for pattern in rates}
    rung, seed = typed(record, "rung", str, where), typed(record, "seed", int, where)
    return rung, seed, typed(record, "epoch", int, where), values


def _series(by_epoch: Mapping[int, Mapping[str, float]]) -> Series:
    epochs = sorted(by_epoch)
    names = dict.fromkeys(name for values in by_epoch.values() for name in values)
    return {"epoch": np.array(epochs)} | {
        n: np.array([by_epoch[e].get(n, np.nan) for e in epochs]) for n in names
    }
