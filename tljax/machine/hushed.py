"""What a command says with --quiet: its result, and what is wrong; not how it gets there."""

# pyright: strict

import contextlib
import io
import re
import sys
from collections.abc import Generator
from typing import TextIO

# Alarms of stages (`train.outcome`) and of preprocessing; errors have a stream of their own.
WRONG = re.compile(
    r"WARNING|.*, seed -?\d+: (at chance|overconfident|collapsed|learnt nothing):"
    r"|.*: (this run was begun with|finished with)"
)


@contextlib.contextmanager
def hushed(quiet: bool) -> Generator[None]:
    """Let only lines that say what is wrong through to standard output, where `quiet`."""
    if not quiet:
        yield
        return
    with contextlib.redirect_stdout(_Wrong(sys.stdout)):
        yield


class _Wrong(io.TextIOBase):
    def __init__(self, out: TextIO):
        self._out, self._line = out, ""

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if WRONG.match(line):
                self._out.write(f"{line}\n")
        return len(text)

    def flush(self) -> None:
        self._out.flush()
