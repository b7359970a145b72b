"""Hostile files are read in a process of their own, which may crash or hang: `reading(kind)`."""

import json
import os
import pathlib
import select
import subprocess
import sys

import pytest

SECONDS, MEGABYTES = 2.0, 500  # of the processor, which others may keep busy, and of memory
HANGS = 60.0  # by the clock
ROOT = pathlib.Path(__file__).resolve().parents[2]


class Reading:
    """Asks the worker about one file at a time; begins another worker where one died."""

    def __init__(self, kind: str, *more: object):
        self.kind, self.more = kind, tuple(map(str, more))
        self.process, self.counts = None, {"read": 0, "refused": 0}

    def __call__(self, path: pathlib.Path, *, names: str | None = None) -> dict:
        """Read or refused by one line that names the file, in time,
        in memory and without harm: else the test fails.
        """
        answer = self._ask(path)
        outcome, message = answer["outcome"], answer["message"]
        assert outcome in ("read", "refused"), message
        assert not answer["harm"]
        assert answer["seconds"] < SECONDS
        assert answer["mb"] < MEGABYTES
        if outcome == "refused":
            assert "\n" not in message
            assert (names or str(path)) in message
        self.counts[outcome] += 1
        return answer

    def _ask(self, path: pathlib.Path) -> dict:
        if self.process is None:
            command = [
                sys.executable,
                str(pathlib.Path(__file__).with_name("worker.py")),
                self.kind,
                *self.more,
            ]
            environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, env=environment, bufsize=0
            )
            self._line(300)  # imports
        self.process.stdin.write(json.dumps(str(path)).encode() + b"\n")
        line = self._line(HANGS)
        if not line:
            code = self.process.poll()
            self.close()
            return {
                "outcome": "hang" if code is None else f"exit {code}",
                "message": "hang or crash",
            }
        return json.loads(line)

    def _line(self, seconds: float) -> bytes:
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        return self.process.stdout.readline() if ready else b""

    def close(self) -> None:
        """End the worker."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture(scope="module")
def reading():
    """`reading("photo")(path)`."""
    made = {}
    yield lambda kind, *more: made.setdefault(kind, Reading(kind, *more))
    for each in made.values():
        each.close()
