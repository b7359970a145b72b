"""Files written whole or not at all; a full or unwritable disk is reported in one line."""

# pyright: strict

import contextlib
import json
import math
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypeVar, cast

from tljax.errors import InputError

Json = dict[str, Any]  # a JSON object: text, numbers, lists and objects by name
T = TypeVar("T")


class Unwritable(InputError):
    """A disk that is full, or a place that cannot be written."""


@contextlib.contextmanager
def refusal(path: Path) -> Generator[None]:
    """Turn an OSError raised inside this context into an Unwritable error.

    For code that replaces a file whole: the message says that what was saved before is intact.
    """
    try:
        yield
        return
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())[:200]
    raise Unwritable(f"{path}: cannot be written: {reason}; what was saved before is whole")


@contextlib.contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yield a temporary path that replaces `path` on success and is removed on error.

    Temporary files of the same target left by killed processes of this machine are removed too.
    InputError for a disk that is full or cannot be written.
    """
    beginning = f".{path.name}.{socket.gethostname()}-"
    part = path.with_name(f"{beginning}{os.getpid()}.part")
    with refusal(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent, beginning)
        try:
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())  # else a power cut could leave the name without the bytes
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def write(path: Path, data: bytes) -> Path:
    """Write a file, and return its path; `Unwritable` if that fails."""
    with replacing(path) as part:
        part.write_bytes(data)
    return path


def write_json(path: Path, document: Json) -> Path:
    """Write an indented JSON document, null for numbers that are not finite; return its path."""
    return write(path, (json.dumps(finite(document), indent=1, allow_nan=False) + "\n").encode())


def finite(value: T) -> T:
    """Replace NaN and infinite numbers with None: JSON has no NaN, so null stands for it.

    Tuples become lists.
    """
    return _finite(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in cast(Json, value).items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in cast(list[Any], value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sweep(folder: Path, beginning: str) -> None:
    for name in os.listdir(folder):
        process = name.removeprefix(beginning).removesuffix(".part")
        if (
            name == f"{beginning}{process}.part"
            and process.isdecimal()
            and not _lives(int(process))
        ):
            (folder / name).unlink(missing_ok=True)


def _lives(process: int) -> bool:
    if os.name == "nt":  # where the signal 0 is Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True
