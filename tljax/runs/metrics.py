"""metrics.jsonl -> series, checked line by line."""

import json
from pathlib import Path

import numpy as np

from tljax.errors import InputError
from tljax.runs.results import number, typed

Series = dict[
    str, np.ndarray
]  # "epoch" i64 [E] and "train/loss", "validation/accuracy", "rate/head/.*", "step", ... f64 [E]

RATE = "rate/"  # before a rule's pattern, in the name of a series
SPLITS = {"train": "training", "validation": "validation"}  # as the files and as people call them


def read_metrics(path: Path) -> dict[str, dict[int, Series]]:
    """Rung -> seed -> series in order of epoch; rungs in file order.

    A repeated (rung, seed, epoch) counts once, the last: a resumed run appends to the same file.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path}: expected a readable file: {error.strerror}") from None
    rungs: dict[str, dict[int, dict[int, dict]]] = {}
    for at, line in enumerate(lines, start=1):
        if line.strip():
            rung, seed, epoch, values = _record(line, where=f"{path}: line {at}")
            rungs.setdefault(rung, {}).setdefault(seed, {})[epoch] = values
    return {rung: {seed: _series(by_epoch) for seed, by_epoch in seeds.items()} for rung, seeds in rungs.items()}


def read_begun(path: Path, results: dict) -> dict[str, dict[int, Series]]:
    """The same; a run that has begun and finished no rung may have no line yet."""
    return read_metrics(path) if results["rungs"] or path.exists() else {}


def _record(line: bytes, *, where: str) -> tuple[str, int, int, dict[str, float]]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: expected a JSON object: {error}") from None
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected a JSON object, found {type(record).__name__}")
    values = {}
    for split in SPLITS:
        scores = typed(record, split, dict, where)
        values |= {f"{split}/{m}": number(scores, m, f"{where}: {split}") for m in ("loss", "accuracy")}
    values |= {"step": number(record, "step", where)} if "step" in record else {}
    rates = typed(record, "rates", dict, where) if "rates" in record else {}
    values |= {RATE + pattern: number(rates, pattern, f"{where}: rates") for pattern in rates}
    rung, seed, epoch = (typed(record, *field, where) for field in (("rung", str), ("seed", int), ("epoch", int)))
    return rung, seed, epoch, values


def _series(by_epoch: dict[int, dict[str, float]]) -> Series:
    epochs = sorted(by_epoch)
    names = dict.fromkeys(name for values in by_epoch.values() for name in values)
    return {"epoch": np.array(epochs)} | {n: np.array([by_epoch[e].get(n, np.nan) for e in epochs]) for n in names}
