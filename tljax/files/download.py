"""Download of one file over HTTP: resumable, and absent until its size and hash are right."""

import dataclasses
import hashlib
import http.client
import os
import pathlib
import urllib.error
import urllib.request

from tljax import waiting
from tljax.errors import InputError

BLOCK = 1 << 20
TIMEOUT_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Download:
    """The URL of a published file, and its size and hash."""

    url: str
    size: int | None = None  # bytes; None where it is not published
    sha256: str = ""  # hex
    md5: str = ""  # hex; for files published with this hash only

    def __post_init__(self) -> None:
        """Check that there is one hash."""
        if bool(self.sha256) == bool(self.md5):
            raise ValueError(f"{self.url}: expected one hash, sha256 or md5")


def matches(file: Download, path: pathlib.Path) -> bool:
    """Test whether the bytes at `path` have the file's hash."""
    return _digest(file, path) == (file.sha256 or file.md5)


def fetch(file: Download, path: pathlib.Path, *, progress: bool) -> None:
    """Download `file` to `path`; partial bytes wait in `path`.part for the next call.

    InputError for an unreachable server, an interruption, a wrong size or a wrong hash; after a
    wrong hash the partial file is removed.
    """
    if path.is_file() and matches(file, path):
        return
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent}: cannot be written ({error.strerror})") from None
    try:
        _receive(file, part, progress=progress)
    except (OSError, http.client.HTTPException) as error:
        have = part.stat().st_size if part.exists() else 0
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{file.url}: stopped at {have}{_of(file)} bytes ({reason}); "
            f"run again to resume from {part}"
        ) from None
    if not matches(file, part):
        kind, digest = "sha256" if file.sha256 else "md5", _digest(file, part)
        part.unlink()
        expected = file.sha256 or file.md5
        raise InputError(
            f"{file.url}: expected {kind} {expected}, found {digest}; the download is discarded"
        )
    os.replace(part, path)


def _receive(file: Download, part: pathlib.Path, *, progress: bool) -> None:
    """Append to `part` until it has the size; start it again where the server cannot resume."""
    have = part.stat().st_size if part.exists() else 0
    if have == file.size or (have and file.size is None and matches(file, part)):
        return
    have = have if file.size is None or have < file.size else 0
    with _open(file, have) as response:
        if response.status != 206:  # the server ignored the range and sends everything
            have = 0
        size = _size(file, response, have)
        bar = waiting.bar(
            size, f"download {part.stem}", unit="bytes", shown=progress, done=have, scale=True
        )
        with bar, part.open("ab" if have else "wb") as out:
            while block := response.read(BLOCK if size is None else min(BLOCK, size - have)):
                out.write(block)
                have += len(block)
                bar.update(len(block))
    if size is not None and have < size:
        raise http.client.IncompleteRead(b"", size - have)


def _size(file: Download, response: http.client.HTTPResponse, have: int) -> int | None:
    """Return the size of the whole file, as published or else as the server declares it.

    InputError where they differ.
    """
    rest = response.headers.get("Content-Length")
    if rest is None:
        return file.size
    if file.size is not None and have + int(rest) != file.size:
        raise InputError(
            f"{file.url}: expected {file.size} bytes, the server offers {have + int(rest)}"
        )
    return have + int(rest)


def _open(file: Download, have: int) -> http.client.HTTPResponse:
    """Open the server's response, from byte `have` on where the server supports it."""
    ask = urllib.request.Request(file.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(ask, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if not have or error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        error.close()  # the partial file is not the beginning of this file
        return urllib.request.urlopen(file.url, timeout=TIMEOUT_SECONDS)
    if response.status == 206 and not response.headers.get("Content-Range", "").startswith(
        f"bytes {have}-"
    ):
        response.close()
        return urllib.request.urlopen(file.url, timeout=TIMEOUT_SECONDS)
    return response


def _of(file: Download) -> str:
    return "" if file.size is None else f" of {file.size}"


def _digest(file: Download, path: pathlib.Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256" if file.sha256 else "md5").hexdigest()
