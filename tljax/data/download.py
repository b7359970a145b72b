"""One file over HTTP: resumed where it stopped, and not there until its size and sha256 are right."""

import dataclasses
import hashlib
import http.client
import os
import pathlib
import urllib.error
import urllib.request

from tqdm import tqdm

from tljax.errors import InputError

BLOCK = 1 << 20
TIMEOUT_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Download:
    """Where a file is published, and how to know it."""

    url: str
    size: int  # bytes
    sha256: str  # hex


def fetch(file: Download, path: pathlib.Path, *, progress: bool) -> None:
    """Leaves `file` at `path`; what has arrived of it waits in `path`.part for the next call.

    InputError for an unreachable server, an interruption, a wrong size or a wrong hash; after a wrong hash
    the part is gone too.
    """
    if path.is_file() and _sha256(path) == file.sha256:
        return
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _receive(file, part, progress=progress)
    except (OSError, http.client.HTTPException) as error:
        have = part.stat().st_size if part.exists() else 0
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{file.url}: stopped at {have} of {file.size} bytes ({reason}); run again to resume from {part}"
        ) from None
    found = _sha256(part)
    if found != file.sha256:
        part.unlink()
        raise InputError(f"{file.url}: expected sha256 {file.sha256}, found {found}; the download is discarded")
    os.replace(part, path)


def _receive(file: Download, part: pathlib.Path, *, progress: bool) -> None:
    """Appends to `part` until it has the size; starts it again where the server cannot continue it."""
    have = part.stat().st_size if part.exists() else 0
    if have == file.size:
        return
    have = have if have < file.size else 0
    with _open(file, have) as response:
        if response.status != 206:  # the server ignored the range and sends everything
            have = 0
        total = have + int(response.headers.get("Content-Length", file.size - have))
        if total != file.size:
            raise InputError(f"{file.url}: expected {file.size} bytes, the server offers {total}")
        bar = tqdm(total=file.size, initial=have, unit="B", unit_scale=True, desc=part.stem, disable=not progress)
        with bar, part.open("ab" if have else "wb") as out:
            while have < file.size and (block := response.read(min(BLOCK, file.size - have))):
                out.write(block)
                have += len(block)
                bar.update(len(block))
    if have < file.size:
        raise http.client.IncompleteRead(b"", file.size - have)


def _open(file: Download, have: int):
    """The server's answer, from byte `have` on if it can."""
    ask = urllib.request.Request(file.url, headers={"Range": f"bytes={have}-"} if have else {})
    response = urllib.request.urlopen(ask, timeout=TIMEOUT_SECONDS)
    if response.status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        response.close()
        return urllib.request.urlopen(file.url, timeout=TIMEOUT_SECONDS)
    return response


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
