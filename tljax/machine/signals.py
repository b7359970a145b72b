"""SIGINT and SIGTERM: training stops after the running segment, all else at once; a second signal ends the process."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interrupted(BaseException):  # no Exception: nobody who catches errors is to swallow it
    """A signal asked to stop; `number` is its."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


_waiting: int | None = None
_deferred = False


@contextmanager
def caught() -> Iterator[None]:
    """Inside, the two signals raise Interrupted, or wait for the end of a segment."""
    global _waiting
    _waiting = None
    before = {number: signal.signal(number, _handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deferred() -> Iterator[None]:
    """Inside, signals wait until someone asks: a stage that can save itself."""
    global _deferred
    before, _deferred = _deferred, True
    try:
        yield
    finally:
        _deferred = before


def waiting() -> bool:
    """Whether a signal came."""
    return _waiting is not None


def stop_if_waiting() -> None:
    """Raises Interrupted if a signal came."""
    if _waiting is not None:
        raise Interrupted(_waiting)


def _handle(number: int, frame: Any) -> None:
    del frame
    global _waiting
    if _waiting is not None:
        os._exit(128 + number)
    _waiting = number
    if not _deferred:
        raise Interrupted(number)
