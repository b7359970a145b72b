"""What Orbax prints when it fails, a page for each read or write that dies with the first one: not here."""

import gc
import inspect
import logging
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, coroutines that die, callbacks to a closed event loop, Orbax's threads and its log print nothing; all
    else does. Whoever waits for such a thread is told of its error. Its futures are told of when they are collected,
    which may be at the end of the program: asyncio is kept from it for good."""

    def unraisable(what: Any) -> None:
        if not inspect.iscoroutine(what.object) and str(what.exc_value) != "Event loop is closed":
            before[0](what)

    def in_thread(what: Any) -> None:
        if not _is_orbax(what.thread):
            before[1](what)

    def not_orbax(record: logging.LogRecord) -> bool:
        return "orbax" not in record.pathname

    before, log = (sys.unraisablehook, threading.excepthook), logging.getLogger("absl")
    log.addFilter(not_orbax)
    logging.getLogger("asyncio").addFilter(_not_abandoned)  # once, however often it is added
    sys.unraisablehook, threading.excepthook = unraisable, in_thread
    try:
        yield
    finally:
        sys.unraisablehook, threading.excepthook = before
        log.removeFilter(not_orbax)


def outlive(*, seconds: float = 20.0) -> None:
    """Wait until what was abandoned has ended: tensorstore calls back into reads from its own threads."""
    # What is still held somewhere goes at the end of the program, unawaited.
    warnings.filterwarnings("ignore", r"coroutine 'async_(de)?serialize", RuntimeWarning)
    deadline = time.monotonic() + seconds
    for thread in filter(_is_orbax, threading.enumerate()):
        threading.Thread.join(thread, max(0.0, deadline - time.monotonic()))  # its own raises the error
    while time.monotonic() < deadline:
        gc.collect()
        if not any(map(_is_orphan, gc.get_objects())):
            return
        time.sleep(0.01)


def _not_abandoned(record: logging.LogRecord) -> bool:
    told = record.getMessage()
    return "exception was never retrieved" not in told or "orbax" not in told


def _is_orbax(thread: Any) -> bool:
    return type(thread).__module__.startswith("orbax.")


def _is_orphan(thing: Any) -> bool:
    return inspect.iscoroutine(thing) and "orbax" in thing.cr_code.co_filename
