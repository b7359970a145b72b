"""One write at a time on a background thread: training continues, and an error is not lost."""

# pyright: strict

import threading
from collections.abc import Callable


class Background:
    """Runs a function on a thread; its exception is raised by the next `check` or `wait`."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def busy(self) -> bool:
        """Tell whether the last function is still running."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, function: Callable[[], None]) -> None:
        """Run the function on a thread, once the previous one has ended."""
        self.wait()
        # Not a daemon: a process that ends still waits for the write.
        self._thread = threading.Thread(target=self._run, args=(function,), name="checkpoint")
        self._thread.start()

    def check(self) -> None:
        """Raise the error of any function since the last call."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def wait(self) -> None:
        """Wait until nothing runs, then `check`."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def _run(self, function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            self._error = error
