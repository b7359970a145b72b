"""One process in a workdir: a lock on the folder itself, which leaves no file.

It ends with the process.
"""

# pyright: strict

import os
import weakref
from pathlib import Path

from tljax.errors import InputError


def hold(folder: Path, *, owner: object) -> None:
    """Lock the folder for as long as `owner` lives; InputError where another process holds it."""
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise InputError(
            f"{folder}: another process is running here; wait, or name another --workdir"
        ) from None
    except OSError:
        pass  # a file system without locks
    weakref.finalize(owner, os.close, handle)
