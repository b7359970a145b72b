"""One write at a time beside the training: it is not waited for, and what goes wrong with it is not lost."""

import threading
from collections.abc import Callable


class Background:
    """Runs a function on a thread of its own; an exception of its surfaces in the next call of `check` or `wait`."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def busy(self) -> bool:
        """Whether the last function is still running."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, function: Callable[[], None]) -> None:
        """Run it beside the caller, once the one before has ended."""
        self.wait()
        # No daemon: a process that ends otherwise lets the write be finished.
        self._thread = threading.Thread(target=self._run, args=(function,), name="checkpoint")
        self._thread.start()

    def check(self) -> None:
        """Raise what went wrong since the last call."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def wait(self) -> None:
        """Until nothing runs; then `check`."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def _run(self, function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            self._error = error
