"""Where a user's own files are: the home folder, and the cache that all runs share."""

# pyright: strict

import contextlib
import os
import tempfile
from pathlib import Path

from tljax.errors import InputError

ELSEWHERE = "the variable XDG_CACHE_HOME names another place for the cache"


def at_home(path: str | Path) -> Path:
    """Put a user's home folder in place of `~`; InputError where there is none to be found."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path}: expected a user with a home folder, found none") from None


def default_folder() -> Path:
    """Return `$XDG_CACHE_HOME/tljax`, or `~/.cache/tljax`.

    A user without a home, as in a container, has one among the temporary files; InputError where
    that belongs to another user.
    """
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "tljax"
    try:
        return Path.home() / ".cache" / "tljax"
    except RuntimeError:
        return _temporary()


def _temporary() -> Path:
    if not hasattr(os, "getuid"):  # Windows, where each user has temporary files of their own
        return Path(tempfile.gettempdir()) / "tljax"
    user = os.getuid()
    folder = Path(tempfile.gettempdir()) / f"tljax-{user}"
    with contextlib.suppress(OSError):  # what cannot be written is named when it is written
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid != user:
            raise InputError(f"{folder}: belongs to another user; {ELSEWHERE}")
    return folder
