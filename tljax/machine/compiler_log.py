"""The compiler's own messages: to a file, and not between a command's lines on the terminal."""

# pyright: strict

import faulthandler
import os
import sys
from pathlib import Path

import jax

_STDERR = 2  # to which XLA's C++ writes
_sent = False


def send_to(path: Path) -> None:
    """Send what C++ writes to standard error to a file, from here to the end of the process.

    An accelerator's compiler writes pages there about its timers and rewritten convolutions, from
    threads that compile while another trains. What Python writes, tracebacks included, still goes
    to the terminal, and so do Python's frames where C++ aborts. On CPU nothing is sent.
    """
    global _sent
    if jax.default_backend() == "cpu":
        return
    if not _sent:
        sys.stderr = os.fdopen(
            os.dup(_STDERR), "w", buffering=1, encoding="utf-8", errors="backslashreplace"
        )
        faulthandler.enable(sys.stderr)
        _sent = True
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, _STDERR)
    os.close(file)
