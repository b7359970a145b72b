"""Traced programs to compiled ones: at once, or in a thread behind those needed first."""

# pyright: strict
# pyright: reportUnknownMemberType=false

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from queue import SimpleQueue

from jax.stages import Compiled, Lowered

from tljax.config import Stage
from tljax.machine import in_turn, memory


@dataclass(frozen=True, eq=False)
class Program:
    """Hold a compiled program and its figures; NaN where there are none.

    `call(state, *segment.arguments)` -> `(state, metrics)`; the state is donated. `seconds` are
    those that the run waited for it. `step_flops` are those of the products of one step on all
    devices, by the formula of `machine.flops`. `temporary` is the bytes that a device needs in
    addition to state and data.
    """

    call: Compiled
    seconds: float
    step_flops: float
    temporary: float


@dataclass(frozen=True)
class Traced:
    """Hold a stage's program before the compiler has seen it, and the seconds that took."""

    stage: Stage
    lowered: Lowered
    kind: Hashable  # of its arguments, see `in_turn.kind_of`
    step_flops: float
    seconds: float


def compile(traced: Traced) -> Program:
    """Compile a traced program; InputError where it does not fit into memory."""
    started = time.perf_counter()
    with memory.explained(traced.stage):
        call = in_turn.compiled(traced.lowered, traced.kind)
    return Program(
        call=call,
        seconds=traced.seconds + time.perf_counter() - started,
        step_flops=traced.step_flops,
        temporary=memory.temporary(call),
    )


class Queue(Mapping[str, Program]):
    """Programs that a thread compiles in order; whoever asks for one waits for it.

    The first is being compiled while the next are traced by `add`. Their `seconds` are those that
    were waited. An error is raised where its program is asked for. Where the main thread ends, no
    further program is begun. `tell(name, how many are done)` is called after each.
    """

    def __init__(self, tell: Callable[[str, int], None]) -> None:
        self._tell = tell
        self._traced: dict[str, Traced] = {}
        self._done: dict[str, Future[Program]] = {}
        self._given: dict[str, Program] = {}
        self._line: SimpleQueue[str | None] = SimpleQueue()
        threading.Thread(target=self._work).start()

    def add(self, name: str, traced: Traced) -> None:
        """Queue a program behind those before it."""
        self._traced[name], self._done[name] = traced, Future()
        self._line.put(name)

    def close(self) -> None:
        """Let the thread end when it has compiled what was queued."""
        self._line.put(None)

    def __getitem__(self, name: str) -> Program:
        if name not in self._given:
            began, future = time.perf_counter(), self._done[name]
            program = future.result()
            waited = self._traced[name].seconds + time.perf_counter() - began
            self._given[name] = replace(program, seconds=waited)
        return self._given[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._done)

    def __len__(self) -> int:
        return len(self._done)

    def at_hand(self, name: str) -> Program | None:
        """Return a program that is compiled; None without waiting for one that is not."""
        future = self._done.get(name)
        return self[name] if future is not None and future.done() else None

    def step_flops(self, name: str) -> float | None:
        """Return the FLOPs of one step of a program that was traced; None for another name."""
        traced = self._traced.get(name)
        return None if traced is None else traced.step_flops

    def _work(self) -> None:
        count = 0
        while (name := self._line.get()) is not None:
            if not threading.main_thread().is_alive():
                return
            try:
                self._done[name].set_result(compile(self._traced[name]))
            except BaseException as error:  # raised again by whoever asks for the program
                self._done[name].set_exception(error)
            else:
                count += 1
                self._tell(name, count)
