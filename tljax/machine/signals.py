"""SIGINT and SIGTERM: training stops after the running segment, everything else at once.

A second signal ends the process.
"""

# pyright: strict

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):  # not an Exception: code that catches errors must not swallow it
    """A signal asked to stop; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


_waiting: int | None = None
_deferred = False


@contextmanager
def caught() -> Generator[None]:
    """Raise Interrupted at either signal, or hold it until the end of a segment."""
    global _waiting
    _waiting = None
    before = {number: signal.signal(number, _handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deferred() -> Generator[None]:
    """Hold signals until someone asks for them: for a stage that can save itself."""
    global _deferred
    before, _deferred = _deferred, True
    try:
        yield
    finally:
        _deferred = before


def waiting() -> bool:
    """Tell whether a signal came."""
    return _waiting is not None


def stop_if_waiting() -> None:
    """Raise Interrupted if a signal came."""
    if _waiting is not None:
        raise Interrupted(_waiting)


def _handle(number: int, frame: FrameType | None) -> None:
    del frame
    global _waiting
    if _waiting is not None:
        os._exit(128 + number)
    _waiting = number
    if not _deferred:
        raise Interrupted(number)
