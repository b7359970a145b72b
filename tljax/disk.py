"""A disk that is full, or that cannot be written, told in a line."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tljax.errors import InputError


@contextlib.contextmanager
def refusal(path: Path) -> Iterator[None]:
    """Inside, whatever is written replaces something whole: an OSError becomes an InputError that says so."""
    try:
        yield
        return
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())[:200]
    raise InputError(f"{path}: cannot be written: {reason}; what was saved before is whole")
