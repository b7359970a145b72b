"""One compilation at a time on an accelerator, whose compiler times kernels to choose among them.

Two that run at once disturb each other's times: both take longer, and may choose badly.
"""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import threading
from collections import deque
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from tljax.models import ops

_line = deque[int]()  # threads, the first of which compiles
_moved = threading.Condition()


@contextmanager
def turn() -> Generator[None]:
    """Wait for the turn to compile and hold it; on CPU there is nothing to wait for.

    First come, first served: a thread with many programs to compile lets another in between.
    """
    me = threading.get_ident()
    if jax.default_backend() == "cpu" or (_line and _line[0] == me):
        yield
        return
    with _moved:
        _line.append(me)
    try:
        with _moved:
            _moved.wait_for(lambda: _line[0] == me)
        yield
    finally:
        with _moved:
            _line.remove(me)
            _moved.notify_all()


def of(program: ops.Jitted) -> Callable[..., Any]:
    """Return a jitted function that compiles in its turn: at its first call with such arrays.

    Later calls wait for nobody. On CPU it is the function itself.
    """
    if jax.default_backend() == "cpu":
        return program
    seen = set[Hashable]()

    def call(*arguments: Any) -> Any:
        kind = _kind(arguments)
        if kind in seen:
            return program(*arguments)
        with turn():
            result = program(*arguments)
        seen.add(kind)
        return result

    return call


def _kind(arguments: Any) -> Hashable:
    """Return what another compilation depends on: structure, shapes, dtypes and places."""
    leaves, structure = jax.tree.flatten(arguments)
    return structure, *(
        (np.shape(leaf), getattr(leaf, "dtype", type(leaf)), getattr(leaf, "sharding", None))
        for leaf in leaves
    )
