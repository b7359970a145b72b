"""Files written whole or not at all; a full or unwritable disk is reported in one line."""

import contextlib
import json
import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tljax.errors import InputError


class Unwritable(InputError):
    """A disk that is full, or a place that cannot be written."""


@contextlib.contextmanager
def refusal(path: Path) -> Iterator[None]:
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
def replacing(path: Path) -> Iterator[Path]:
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
    with replacing(path) as part:
        part.write_bytes(data)
    return path


def write_json(path: Path, document: dict[str, Any]) -> Path:
    return write(path, (json.dumps(finite(document), indent=1, allow_nan=False) + "\n").encode())


def finite(value: Any) -> Any:
    """Replace NaN and infinite numbers with None: JSON has no NaN, so null stands for it."""
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
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
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True
