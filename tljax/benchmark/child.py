"""Peers in processes of their own, perhaps in other environments: JSON lines ask and answer.

`{"make": NAME, "settings": {...}}` makes a contender and calls it once,
`{"time": NAME, "repeats": N}` runs one round, `{"drop": NAME}` frees it. Between rounds the child
waits for a line, so its threads are idle while others are timed.
"""

import json
import math
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tljax.benchmark.rows import Json, Settings
from tljax.benchmark.timing import Contender, PeerError, timed

Makers = dict[str, Callable[[Settings], Contender]]
_ROOT = Path(__file__).resolve().parents[2]
# Appended, not put first: where this package is in one folder with others, the child's own versions
# of those win.
_CODE = """import sys; sys.path.append(sys.argv[1])
from tljax.benchmark import child, {module}
child.serve({module}.MAKERS)"""


_ENDS = 30.0  # seconds that a child has to end by itself


class Child:
    """A process that makes and times the contenders of one module."""

    def __init__(
        self, python: str, module: str, *, environment: dict[str, str] | None = None
    ) -> None:
        command = [python, "-c", _CODE.format(module=module), str(_ROOT)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **(environment or {})},
            )
        except OSError as error:
            raise PeerError(f"{python}: {error.strerror}") from None

    @property
    def ended(self) -> bool:
        """Tell whether the process is gone."""
        return self._process.poll() is not None

    def ask(self, request: Json, *, until: float = math.inf) -> Json:
        """Send a request and return the answer.

        PeerError where the answer is an error, or missing: the child ended, or has not answered
        `until` then (of `time.monotonic`) and was ended.
        """
        began = time.monotonic()
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the missing answer reports it
        # An answer is one line, so none is waiting in the buffer above the pipe.
        wait = None if until == math.inf else max(0.0, until - time.monotonic())
        if not select.select([self._process.stdout], [], [], wait)[0]:
            self._kill()
            raise PeerError(f"not finished in {time.monotonic() - began:.0f} s")
        line = self._process.stdout.readline()
        answer = (
            json.loads(line) if line else {"error": f"ended with status {self._process.wait()}"}
        )
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def close(self) -> None:
        """Let the child end by itself, if it does so soon; a second call does nothing."""
        if self._process.stdin and not self._process.stdin.closed:
            try:
                self._process.communicate(timeout=_ENDS)
            except subprocess.TimeoutExpired:
                self._kill()

    def _kill(self) -> None:
        """End the process; what it started may keep its pipes open, so nothing waits for them."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()


def serve(makers: Makers) -> None:
    """Serve requests in the child until its input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    contenders: dict[str, Contender] = {}
    for line in sys.stdin:
        try:
            answer = _answer(json.loads(line), makers, contenders)
        except Exception as error:  # a peer that fails is a line in the table
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:200]}
        print(json.dumps(answer), file=answers, flush=True)


def _answer(request: Json, makers: Makers, made: dict[str, Contender]) -> Json:
    if name := request.get("make"):
        made[name] = makers[name](Settings(**request["settings"]))
        made[name].call()
        return {"work": made[name].work}
    if name := request.get("time"):
        return {"seconds": timed(made[name].call, request["repeats"])}
    made.pop(request["drop"])
    return {}
