"""Locks on folders themselves, which leave no file and end with the process.

A Python without fcntl, as on Windows, and some network disks have none: nothing is locked there.
"""

# pyright: strict

import os
import weakref
from pathlib import Path

from tljax.errors import InputError


def taken(folder: Path, *, wait: bool) -> int | None:
    """Lock a folder and return the handle, which unlocks it when closed; None without locks here.

    BlockingIOError where another process holds it and is not to be waited for, OSError where it is
    no folder.
    """
    try:
        import fcntl
    except ImportError:
        return None
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:
        os.close(handle)
        return None
    return handle


def hold(folder: Path, *, owner: object) -> None:
    """Lock the folder for as long as `owner` lives; InputError where another process holds it."""
    try:
        handle = taken(folder, wait=False)
    except BlockingIOError:
        raise InputError(
            f"{folder}: another process is running here; wait, or name another --workdir"
        ) from None
    if handle is not None:
        weakref.finalize(owner, os.close, handle)
