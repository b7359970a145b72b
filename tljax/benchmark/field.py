"""The field of a race: our contenders in this process and peers in children."""

import functools
import importlib.util
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict

from tljax.benchmark.child import Child
from tljax.benchmark.rows import Json, Settings
from tljax.benchmark.timing import Entrant, PeerError, timed

_MODULES = {
    "torch": "torch_side",
    "keras": "keras_side",
    "ours": "tljax_side",
    "uncached": "tljax_side",
}
_PEERS = ("torch", "keras")
# A GPU is shared with this process, which has its memory already.
_CHILD = {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


class Field:
    """Entrants by library and contender; PeerError says why one is missing.

    Close it to end its children. One that has not answered `until` then (of `time.monotonic`) is
    ended, with all that it has made; the next question starts another.
    """

    until = math.inf

    def __init__(self, settings: Settings, *, torch_python: str | None) -> None:
        self._settings, self._torch_python = settings, torch_python
        self._children: dict[str, Child] = {}
        self._made: dict[tuple[str, str], Entrant] = {}
        self._folder = tempfile.TemporaryDirectory()  # compilation cache of the fresh processes

    def entrant(self, who: str, contender: str) -> Entrant:
        """Make an entrant, or return the one that was made for another row.

        One in a child has been called once. Contenders of several children may be made at once.
        """
        if (made := self._made.get((who, contender))) is None:
            make = self._here if who in ("ours", "bound") else self._there
            made = self._made[who, contender] = make(who, contender)
        return made

    def _there(self, who: str, contender: str) -> Entrant:
        work = self._ask(who, {"make": contender, "settings": asdict(self._settings)})["work"]

        def seconds(repeats: int) -> float:
            return self._ask(who, {"time": contender, "repeats": repeats})["seconds"]

        return Entrant(seconds, work)

    def _ask(self, who: str, request: Json) -> Json:
        child = self._child(who)
        try:
            return child.ask(request, until=self.until)
        finally:
            if child.ended:
                self._children.pop(who).close()
                self._made = {pair: made for pair, made in self._made.items() if pair[0] != who}

    def fresh(self, who: str, contender: str) -> Entrant:
        """Make an entrant whose every call is a new process.

        A call lasts from the start of the process to the end of the contender's first call.
        """
        start = functools.partial(
            Child, self._python(who), _MODULES[who], environment=self._environment(who)
        )

        def seconds(repeats: int) -> float:
            assert repeats == 1
            started = time.perf_counter()
            child = start()
            try:
                request = {"make": contender, "settings": asdict(self._settings)}
                child.ask(request, until=self.until)
                return time.perf_counter() - started
            finally:
                child.close()

        if who in ("ours", "torch"):
            seconds(1)  # fills the compilation cache, and the disk cache of a large library
        return Entrant(seconds, {"starts": 1.0}, once=True)

    def versions(self) -> dict[str, str]:
        """Return the version of each peer that is installed, and a reason for the others."""
        return {who: self._version(who)[1] for who in _PEERS}

    def present(self) -> frozenset[str]:
        """Return the peers that are installed."""
        return frozenset(who for who in _PEERS if self._version(who)[0])

    def drop(self, who: str, contender: str) -> None:
        """Free an entrant that no later row needs; one that is missing is nothing to free."""
        if self._made.pop((who, contender), None) is not None and who in self._children:
            self._ask(who, {"drop": contender})

    def close(self) -> None:
        """End the children, and remove the compilation cache of the fresh processes."""
        for child in self._children.values():
            child.close()
        self._folder.cleanup()

    def _here(self, who: str, contender: str) -> Entrant:
        from tljax.benchmark import bounds, tljax_side

        racer = (tljax_side if who == "ours" else bounds).MAKERS[contender](self._settings)
        return Entrant(functools.partial(timed, racer.call), racer.work)

    def _child(self, who: str) -> Child:
        if who not in self._children:
            self._children[who] = Child(
                self._python(who), _MODULES[who], environment=self._environment(who)
            )
        return self._children[who]

    def _python(self, who: str) -> str:
        if who == "torch" and self._torch_python:
            return self._torch_python
        if who in ("torch", "keras") and importlib.util.find_spec(who) is None:
            raise PeerError(
                "not installed"
                + ("; --torch-python PATH names a Python that has it" * (who == "torch"))
            )
        return sys.executable

    @functools.cache  # noqa: B019, a field lasts as long as the command
    def _version(self, who: str) -> tuple[bool, str]:
        """Tell whether a peer is installed, and its version or why not."""
        try:
            command = [
                self._python(who),
                "-c",
                f"import importlib.metadata as m; print(m.version({who!r}))",
            ]
            process = subprocess.run(command, capture_output=True, text=True)
        except (PeerError, OSError) as error:
            return False, str(error)
        version = process.stdout.strip()
        return bool(version), version or "not installed"

    def _environment(self, who: str) -> dict[str, str]:
        cache = {} if who == "uncached" else {"JAX_COMPILATION_CACHE_DIR": self._folder.name}
        return {
            **_CHILD,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
            **(cache if who == "ours" else {}),
        }
