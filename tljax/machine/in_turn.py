"""Compilation: one at a time on an accelerator, and never twice of the same program.

A GPU's compiler times kernels to choose among them. Two that run at once disturb each other's
times: both take longer, and may choose badly.
"""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import functools
import hashlib
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.stages import Compiled, Lowered

from tljax.models import ops

_line = deque[int]()  # threads, the first of which compiles
_moved = threading.Condition()
_kept = OrderedDict[Hashable, Compiled]()  # the newest last
_MOST = 32


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
    """Return a jitted function that is compiled by `compiled`, at its first call of a kind.

    Later calls wait for nobody. Seeds, and rungs on the same base, make such functions anew, which
    `jax.jit` would compile anew.
    """
    known: dict[Hashable, Compiled] = {}

    def call(*arguments: Any) -> Any:
        kind = kind_of(arguments)
        if kind not in known:
            known[kind] = compiled(program.lower(*arguments), kind)
        return known[kind](*arguments)

    return call


def compiled(lowered: Lowered, kind: Hashable) -> Compiled:
    """Compile in turn, or return what was compiled of the same text for arguments of this kind.

    The newest 32 programs are kept.
    """
    if not _constants_are_text():
        with turn():
            return lowered.compile()
    text = hashlib.sha256(lowered.as_text().encode()).digest()
    key = text, kind, lowered.out_tree, str(ops.compiler_options())
    with turn():
        made = _kept.get(key) or lowered.compile()
    with _moved:
        _kept[key] = made
        _kept.move_to_end(key)
        if len(_kept) > _MOST:
            _kept.popitem(last=False)
    return made


def kind_of(arguments: Any) -> Hashable:
    """Return what a program depends on besides its text: structure, shapes, dtypes and places.

    `arguments` are arrays or shapes.
    """
    leaves, structure = jax.tree.flatten(arguments)
    return structure, *(
        (np.shape(leaf), getattr(leaf, "dtype", type(leaf)), getattr(leaf, "sharding", None))
        for leaf in leaves
    )


@functools.cache
def _constants_are_text() -> bool:
    """Tell whether a program's text has the arrays that its function closed over.

    JAX has another way, in which they are arguments that a compiled program holds.
    """
    closed = [np.arange(value, value + 3, dtype=np.float32) for value in range(2)]
    texts = {jax.jit(functools.partial(jnp.add, y)).lower(closed[0]).as_text() for y in closed}
    return len(texts) == 2
