"""Orbax's noise after a failed read or write, suppressed: a page for each that dies with it."""

# pyright: strict

import asyncio
import gc
import inspect
import logging
import sys
import threading
import time
import traceback
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

PATIENCE = 20.0  # seconds that a failure waits for the reads and writes it abandoned

_lock, _inside, _installed = threading.Lock(), 0, ExitStack()


@contextmanager
def quiet() -> Generator[None]:
    """Suppress what Orbax prints when it fails inside; the error itself is raised.

    It is raised once the reads and writes that it abandoned have ended: tensorstore calls back into
    them from its own threads. Hooks and log filters are in place while any thread is inside; they
    are removed when the last one leaves.
    """
    global _inside
    with _lock:
        if not _inside:
            _installed.enter_context(_hooks())
        _inside += 1
    try:
        yield
    except Exception as error:
        _outlive(error)
        raise
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _installed.close()


@contextmanager
def _hooks() -> Generator[None]:
    """Drop what Orbax's coroutines, callbacks, threads and logs say, and pass on the rest."""

    def unraisable(report: Any) -> None:
        closed = str(report.exc_value) == "Event loop is closed"
        if not closed and not inspect.iscoroutine(report.object):
            before[0](report)

    def in_thread(report: Any) -> None:
        if not _is_orbax(report.thread):
            before[1](report)

    before = sys.unraisablehook, threading.excepthook
    logs = logging.getLogger("absl"), logging.getLogger("asyncio")
    sys.unraisablehook, threading.excepthook = unraisable, in_thread
    for log in logs:
        log.addFilter(_is_not_orbax)
    try:
        yield
    finally:
        sys.unraisablehook, threading.excepthook = before
        for log in logs:
            log.removeFilter(_is_not_orbax)


def _outlive(error: BaseException | None) -> None:
    """Wait until what an error abandoned has finished, and leave nothing that reports it later."""
    deadline = time.monotonic() + PATIENCE
    for thread in filter(_is_orbax, threading.enumerate()):
        # Not the thread's own join, which raises the error.
        threading.Thread.join(thread, max(0.0, deadline - time.monotonic()))
    waiting = _unfinished()
    while error is not None:
        traceback.clear_frames(error.__traceback__)  # they hold coroutines
        error = error.__cause__ or error.__context__
    while waiting and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
        waiting = _unfinished()


def _unfinished() -> bool:
    """Tell whether a coroutine of Orbax's is unfinished; retrieve the errors of abandoned futures.

    Futures of closed event loops would report them when they are collected.
    """
    things = gc.get_objects()
    for future in (thing for thing in things if issubclass(type(thing), asyncio.Future)):
        if future.get_loop().is_closed() and future.done() and not future.cancelled():
            future.exception()
    coroutines = (thing for thing in things if inspect.iscoroutine(thing))
    return any("orbax" in each.cr_code.co_filename and each.cr_frame for each in coroutines)


def _is_orbax(thread: Any) -> bool:
    return type(thread).__module__.startswith("orbax.")


def _is_not_orbax(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    abandoned = "exception was never retrieved" in message and "orbax" in message
    return not abandoned and "orbax" not in record.pathname
