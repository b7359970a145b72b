"""A folder that holds one trained classifier: the files of a run that are needed to use it."""

# pyright: strict

import json
import os
import shutil
from pathlib import Path

from tljax.errors import InputError
from tljax.files import disk, orbax_store
from tljax.machine import processes
from tljax.machine.provenance import environment
from tljax.tasks.known import from_dict
from tljax.train.outcome.collapse import Json, Record
from tljax.train.step import State

FILES = ("checkpoints", "metrics.jsonl", "results.json")
WRITER = "tljax.Trained.save"  # in results.json: a folder that may be replaced


def write(
    folder: Path,
    *,
    state: State,
    meta: Json,
    row: Json,
    records: list[Record],
) -> Path:
    """Write a classifier as a run has it, whole or not at all, and return the folder.

    `row` is its row in results.json, `records` its epochs. InputError, before anything is written,
    for a folder that holds anything but a classifier written here.
    """
    folder, name = folder.resolve(), f"{row['name']}-seed{row['seed']}"
    if "\0" in name or Path(name).name != name:
        expected = "the name of a rung without slashes"
        raise InputError(f"{folder}: expected {expected}, found {name[:80]!r}")
    refuse_other(folder)
    part = folder.with_name(f".{folder.name}.part")
    about = {"data": {"digest": meta["data"], "classes": meta["classes"], "size": meta["size"]}}
    results = {"task": meta["task"], **about, "environment": environment()}
    results |= {"writer": WRITER, "rungs": [row]}
    last = records[-1]["step"] if records else 0
    metrics = {orbax_store.MONITOR: from_dict(meta["task"]).rank(row["validation"])}
    _remove(part)
    processes.wait(str(part))
    try:
        where = part / "checkpoints" / name
        orbax_store.save(where, last, state=state, meta=meta, metrics=metrics)
        if processes.first():
            lines = "".join(json.dumps(disk.finite(record)) + "\n" for record in records)
            disk.write(part / "metrics.jsonl", lines.encode())
            disk.write_json(part / "results.json", results)
            _exchange(part, folder)
    finally:
        _remove(part)
    processes.wait(str(folder))
    return folder


def refuse_other(folder: Path) -> None:
    """Refuse a folder that holds anything but what `write` leaves."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder to save to, found a file")
    names = sorted(os.listdir(folder))
    others = [name for name in names if name not in FILES]
    if names and not _ours(folder / "results.json"):
        others = others or names
    if others:
        expected = "expected a new folder, or one that Trained.save wrote"
        raise InputError(f"{folder}: {expected}, found {', '.join(others[:3])}")


def _ours(results: Path) -> bool:
    try:
        return json.loads(results.read_bytes())["writer"] == WRITER
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _exchange(part: Path, folder: Path) -> None:
    """Put `part` in the place of `folder`, which comes back if that fails."""
    old = folder.with_name(f".{folder.name}.old")
    _remove(old)
    with disk.refusal(folder):
        if folder.exists():
            os.rename(folder, old)
        try:
            os.rename(part, folder)
        except OSError:
            if old.exists():
                os.rename(old, folder)
            raise
    _remove(old)


def _remove(folder: Path) -> None:
    if processes.first():
        shutil.rmtree(folder, ignore_errors=True)
