"""A failed Orbax read abandons its other reads, each of which prints a page when it dies: not here."""

import gc
import inspect
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, coroutines that die and callbacks to a closed event loop print nothing; all else does."""

    def hook(what: Any) -> None:
        if not inspect.iscoroutine(what.object) and str(what.exc_value) != "Event loop is closed":
            before(what)

    before, sys.unraisablehook = sys.unraisablehook, hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def outlive(*, seconds: float = 2.0) -> None:
    """Wait until the abandoned reads have ended: tensorstore calls back into them from its own threads."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        gc.collect()
        if not any(map(_is_orphan, gc.get_objects())):
            return
        time.sleep(0.01)


def _is_orphan(thing: Any) -> bool:
    return inspect.iscoroutine(thing) and "orbax" in thing.cr_code.co_filename
