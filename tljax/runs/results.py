"""results.json, read and checked."""

import json
import math
from pathlib import Path
from typing import Any

from tljax.errors import InputError

KINDS = {
    str: "a text",
    int: "a whole number",
    dict: "an object",
    list: "a list",
    float | int: "a number or null",
}


def read_json(path: Path) -> dict:
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
    return value


def typed(record: dict, field: str, kind: Any, where: str) -> Any:
    """Return record[field] if it is of that kind; otherwise raise an InputError.

    The message starts with `where`.
    """
    value = record.get(field)
    if not isinstance(value, kind):
        raise InputError(f"{where}: '{field}': expected {KINDS[kind]}, found {json.dumps(value)}")
    return value


def number(record: dict, field: str, where: str) -> float:
    """Return record[field] as a float, null as NaN; InputError if it is absent or not a number."""
    if field in record and record[field] is None:
        return math.nan
    try:
        return float(typed(record, field, float | int, where))
    except OverflowError:
        raise InputError(f"{where}: '{field}': expected a number, found one too large") from None


def read_results(path: Path) -> dict:
    """Read results.json and check that every row of `rungs` has what the table shows.

    Null measures become NaN.
    """
    results = read_json(path)
    typed(results, "data", dict, str(path))
    rows = typed(results, "rungs", list, str(path))
    return results | {"rungs": [_checked(row, f"{path}: rungs[{i}]") for i, row in enumerate(rows)]}


def by_rung(results: dict) -> dict[str, list[dict]]:
    """Group rows by rung name, in order of seed; rungs in file order.

    Of a repeated seed the last row counts.
    """
    rungs: dict[str, dict[int, dict]] = {}
    for row in results["rungs"]:
        rungs.setdefault(row["name"], {})[row["seed"]] = row
    return {name: [rows[seed] for seed in sorted(rows)] for name, rows in rungs.items()}


def _checked(row: object, where: str) -> dict:
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected an object, found {type(row).__name__}")
    where = f"{where} ({typed(row, 'name', str, where)}, seed {typed(row, 'seed', int, where)})"
    for field in ("epochs", "trainable_params", "total_params"):
        typed(row, field, int, where)
    splits = {
        split: _scores(row, split, where)
        for split in ("validation", *(["test"] if "test" in row else []))
    }
    measured = {field: number(row, field, where) for field in ("seconds", "images_per_second")}
    return row | measured | splits


def _scores(row: dict, split: str, where: str) -> dict:
    record = typed(row, split, dict, where)
    typed(record, "n", int, f"{where}: {split}")
    scores = {field: number(record, field, f"{where}: {split}") for field in ("accuracy", "loss")}
    if scores["accuracy"] < 0 or scores["accuracy"] > 1:
        raise InputError(
            f"{where}: {split}: 'accuracy': expected 0 to 1, found {scores['accuracy']}"
        )
    return record | scores
