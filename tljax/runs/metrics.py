"""metrics.jsonl as series, checked line by line."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tljax.errors import InputError
from tljax.runs.results import number, typed

Series = dict[
    str, np.ndarray
]  # "epoch" i64 [E] and "train/loss", "validation/accuracy", "rate/head/.*", "step", ... f64 [E]

RATE = "rate/"  # before a rule's pattern, in the name of a series
SPLITS = {"train": "training", "validation": "validation"}  # as the files and as people call them


def read_metrics(path: Path) -> dict[str, dict[int, Series]]:
    """Read rung -> seed -> series in order of epoch; rungs in file order.

    Of a repeated (rung, seed, epoch) the last counts: a resumed run appends to the same file.
    """
    lines = _lines(path)
    rungs: dict[str, dict[int, dict[int, dict]]] = {}
    for place, line in enumerate(lines, start=1):
        if line.strip():
            rung, seed, epoch, values = _record(line, where=f"{path}: line {place}")
            rungs.setdefault(rung, {}).setdefault(seed, {})[epoch] = values
    return {
        rung: {seed: _series(by_epoch) for seed, by_epoch in seeds.items()}
        for rung, seeds in rungs.items()
    }


def read_begun(path: Path, results: dict) -> dict[str, dict[int, Series]]:
    """Read the metrics of a run that may have no file yet, because no rung has finished."""
    return read_metrics(path) if results["rungs"] or path.exists() else {}


def read_records(path: Path, *, rung: str, seed: int) -> list[dict[str, Any]]:
    """Read the records of one rung and seed in order of epoch, null measures as NaN.

    Half a line at the end, which a killed run leaves, is left out. InputError for other damage.
    """
    found = {}
    for at, line in enumerate(_lines(path, whole=True), start=1):
        if line.strip():
            record = _parsed(line, where=f"{path}: line {at}")
            name, of, epoch, _ = _values(record, where=f"{path}: line {at}")
            if (name, of) == (rung, seed):
                found[epoch] = _measured(record)
    return [found[epoch] for epoch in sorted(found)]


def series(records: Sequence[dict[str, Any]]) -> Series:
    """Arrange the records of one rung and seed as series."""
    values = [_values(record, where="history") for record in records]
    return _series({epoch: named for _, _, epoch, named in values})


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
        return {name: _measured(item) for name, item in value.items()}
    return math.nan if value is None else value


def _record(line: bytes, *, where: str) -> tuple[str, int, int, dict[str, float]]:
    return _values(_parsed(line, where=where), where=where)


def _parsed(line: bytes, *, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: expected a JSON object: {error}") from None
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected a JSON object, found {type(record).__name__}")
    return record


def _values(record: dict[str, Any], *, where: str) -> tuple[str, int, int, dict[str, float]]:
    values = {}
    for split in SPLITS:
        scores = typed(record, split, dict, where)
        values |= {
            f"{split}/{m}": number(scores, m, f"{where}: {split}") for m in ("loss", "accuracy")
        }
    values |= {"step": number(record, "step", where)} if "step" in record else {}
    rates = typed(record, "rates", dict, where) if "rates" in record else {}
    values |= {RATE + pattern: number(rates, pattern, f"{where}: rates") for pattern in rates}
    rung, seed, epoch = (
        typed(record, *field, where) for field in (("rung", str), ("seed", int), ("epoch", int))
    )
    return rung, seed, epoch, values


def _series(by_epoch: dict[int, dict[str, float]]) -> Series:
    epochs = sorted(by_epoch)
    names = dict.fromkeys(name for values in by_epoch.values() for name in values)
    return {"epoch": np.array(epochs)} | {
        n: np.array([by_epoch[e].get(n, np.nan) for e in epochs]) for n in names
    }
