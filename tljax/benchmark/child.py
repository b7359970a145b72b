"""Peers in processes of their own, perhaps in other environments: JSON lines ask and answer.

`{"make": NAME, "settings": {...}}` makes a contender and calls it once,
`{"time": NAME, "repeats": N}` runs one round, `{"drop": NAME}` frees it. Between rounds the child
waits for a line, so its threads are idle while others are timed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tljax.benchmark.rows import Json, Settings
from tljax.benchmark.timing import Contender, timed

Makers = dict[str, Callable[[Settings], Contender]]
_ROOT = Path(__file__).resolve().parents[2]
# Appended, not put first: where this package is in one folder with others, the child's own versions
# of those win.
_CODE = """import sys; sys.path.append(sys.argv[1])
from tljax.benchmark import child, {module}
child.serve({module}.MAKERS)"""


class PeerError(Exception):
    """A child's failure, in one line."""


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

    def ask(self, request: Json) -> Json:
        """Send a request and return the answer.

        PeerError where the answer is an error, or missing because the child ended.
        """
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the missing answer reports it
        line = self._process.stdout.readline()
        answer = (
            json.loads(line) if line else {"error": f"ended with status {self._process.wait()}"}
        )
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def close(self) -> None:
        """Let the child end by itself; a second call does nothing."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.communicate()


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
