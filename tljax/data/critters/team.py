"""Several processes that draw critters for one.

A drawing is some thousand short calls, so threads would wait for each other's interpreter lock.
Among the ways to start processes, fork is unsafe with JAX's threads, and multiprocessing's spawn
and forkserver run the caller's main module again, which fails in a script without a `__name__`
guard. So the children are interpreters of their own that import this package and nothing of the
caller's: a line of JSON in, raw pixels out. A child whose parent dies, for any reason, finds its
pipe closed and ends.
"""

import concurrent.futures
import contextlib
import io
import json
import os
import queue
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np

from tljax.data.critters.draw import draw, draw_parts
from tljax.tree import Json

ALONE = 400  # up to this many images, one process is done before another has started
CHUNK = 50  # images a request: small enough that a slow core does not hold up the others
# The parent's path, for a package found by way of it; -c alone would look in the working folder
# first.
CHILD = "import sys; sys.path[:] = sys.argv[1:]; from tljax.data.critters import team; team.work()"


def size_for(images: int) -> int:
    """Count the processes worth starting: one for every 200 images, at most one per core."""
    if images <= ALONE:
        return 1
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return min(cores, images // (ALONE // 2))


def work() -> None:
    """Serve drawing requests in a child, until its standard input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        for animal, index in request["jobs"]:
            painted = draw_parts if request["parts"] else draw
            picture = painted(animal, seed=request["seed"], index=index, size=request["size"])
            sys.stdout.buffer.write(picture.data)
        sys.stdout.buffer.flush()


class Child:
    """A process that draws, killed on leaving the `with` block for any reason."""

    def __enter__(self) -> "Child":
        self._errors = tempfile.TemporaryFile()  # a pipe that nobody reads could fill up
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._requests = cast(io.BufferedWriter, self.process.stdin)
        self._pixels = cast(io.BufferedReader, self.process.stdout)
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self._requests, self._pixels, self._errors):
            with contextlib.suppress(OSError):  # a dead child reads nothing more
                stream.close()

    def draw(self, request: Json, out: np.ndarray) -> None:
        """Fill `out`, uint8 [n, size, size, 3 or 4], with the drawings of a request.

        ChildProcessError if the child ends before it is full.
        """
        received = 0
        with contextlib.suppress(BrokenPipeError):
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
            received = self._pixels.readinto(out.data)
        if received < out.nbytes:
            status = self.process.wait()
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines() or ["nothing"]
            raise ChildProcessError(
                f"critters: a drawing process ended with status {status}: {lines[-1]}"
            )


def draw_all(
    jobs: Sequence[tuple[str, int]], out: np.ndarray, *, seed: int, size: int, workers: int
) -> Iterator[int]:
    """Fill out[n], uint8 [size, size, 3], with the drawing of jobs[n], an (animal, index).

    With a fourth channel the parts are drawn too. Yields how many more are done. ChildProcessError
    if a child fails. No child outlives the iteration.
    """
    with concurrent.futures.ThreadPoolExecutor(workers) as threads, contextlib.ExitStack() as stack:
        stack.callback(threads.shutdown, wait=False, cancel_futures=True)
        idle = queue.SimpleQueue()
        for _ in range(workers):
            idle.put(stack.enter_context(Child()))

        def chunk(start: int) -> int:
            part, child = jobs[start : start + CHUNK], idle.get()
            try:
                asked = {"seed": int(seed), "size": size, "jobs": part, "parts": out.shape[3] == 4}
                child.draw(asked, out[start : start + CHUNK])
            finally:
                idle.put(child)  # a dead one too: its next user fails at once, without a wait
            return len(part)

        yield from threads.map(chunk, range(0, len(jobs), CHUNK))
