"""Results of a sweep's finished calls on disk, so that a stopped sweep trains the rest only."""

# pyright: strict

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tljax.config import Stage
from tljax.errors import InputError
from tljax.files import npz
from tljax.sweep.members import Member

_KINDS = ("train", "validation")


@dataclass(frozen=True, eq=False)
class Found:
    """One member's sums over the examples of each epoch, and its logits `[N, outputs]`.

    Validation sums begin with those of the start.
    """

    train: Mapping[str, np.ndarray]
    validation: Mapping[str, np.ndarray]
    logits: np.ndarray
    seconds: float  # its share of the call


class Kept:
    """A folder with a file for each call.

    A member is identified by the stage at its values, its seed, its examples and `about`: plain
    JSON that says what all members read and start from, the digests of data and base. A file that
    is damaged is named and removed, and its members are trained again.
    """

    def __init__(self, folder: Path, *, about: Mapping[str, object]) -> None:
        self._folder, self._about = folder, json.dumps(about, sort_keys=True)
        self.size = 0  # members of the largest call that was read

    def key(self, stage: Stage, member: Member) -> str:
        """Return the member's name here; `stage` is the one at its values."""
        text = f"{self._about}\n{stage!r}\n{member.seed}"
        parts = [
            b"" if rows is None else np.ascontiguousarray(rows).tobytes()
            for rows in (member.train, member.held)
        ]
        return hashlib.sha256(b"\n".join([text.encode(), *parts])).hexdigest()

    def read(self, stage: Stage) -> dict[str, Found]:
        """Read everything kept of the stage, at any values, by the members' keys."""
        members: dict[str, Found] = {}
        for path in sorted(self._folder.glob("*.npz")):
            try:
                call = _read(path, epochs=stage.epochs)
            except InputError as error:
                print(f"{error}; its members are trained again", flush=True)
                path.unlink()
                continue
            self.size = max(self.size, len(call))
            members |= call
        return members

    def write(self, found: Mapping[str, Found]) -> None:
        """Write the results of a call in one piece."""
        rows = list(found.values())
        sums = {
            f"{kind}/{name}": [getattr(row, kind)[name] for row in rows]
            for kind in _KINDS
            for name in getattr(rows[0], kind)
        }
        columns = {name: np.stack(column).astype(np.float64) for name, column in sums.items()}
        columns |= {"key": np.array(list(found)), "logits": np.stack([row.logits for row in rows])}
        columns["seconds"] = np.array([row.seconds for row in rows])
        npz.write(self._folder / f"{next(iter(found))[:16]}.npz", columns)


def _read(path: Path, *, epochs: int) -> dict[str, Found]:
    columns = npz.read(path)
    keys, sums = _checked(path, columns), [name.split("/") for name in columns if "/" in name]
    for name, column in columns.items():
        length = {"train": epochs, "validation": 1 + epochs}.get(name.split("/")[0])
        if len(column) != len(keys) or (length and column.shape[1] != length):
            raise InputError(
                f"{path}: {name}: expected {len(keys)} members of {epochs} epochs, "
                f"found {column.shape}"
            )
    members: dict[str, Found] = {}
    for i, key in enumerate(keys):
        of: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in _KINDS}
        for kind, name in sums:
            of[kind][name] = columns[f"{kind}/{name}"][i]
        logits, seconds = columns["logits"][i], float(columns["seconds"][i])
        members[str(key)] = Found(of["train"], of["validation"], logits=logits, seconds=seconds)
    return members


def _checked(path: Path, columns: dict[str, np.ndarray]) -> np.ndarray:
    """Take the keys out of a call's columns; InputError for other columns than a call writes."""
    least = {f"{kind}/{name}" for kind in _KINDS for name in ("loss", "count")}
    if missing := ({"key", "seconds", "logits"} | least) - columns.keys():
        raise InputError(f"{path}: expected {min(missing)}, found none")
    keys = columns.pop("key")
    for name, column in columns.items():
        kind, slash, _ = name.partition("/")
        sides = column.ndim == 1 if name == "seconds" else column.ndim >= 2
        known = kind in _KINDS if slash else name in ("seconds", "logits")
        if not known or not sides or column.dtype.kind not in ("f" if name != "logits" else "fiu"):
            raise InputError(
                f"{path}: {name}: expected what a call writes, found {column.dtype} {column.shape}"
            )
    if keys.dtype.kind != "U" or keys.ndim != 1:
        raise InputError(f"{path}: key: expected texts, found {keys.dtype} {keys.shape}")
    return keys
