"""Weights on the Hugging Face hub by name: `hf:timm/resnet50.a1_in1k`, `hf:OWNER/REPO@REVISION`.

Both files, `model.safetensors` and timm's `config.json` beside it, are of one commit, asked for
once and kept; from then on no connection is needed. The hub answers a HEAD request for a large file
with its sha256 in `X-Linked-Etag`, its size in `X-Linked-Size` and the commit in `X-Repo-Commit`,
beside a redirection to where the bytes are; the ETag of a small file is its git object's name.
"""

import dataclasses
import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Any

from tljax.data.cache import default_folder
from tljax.data.preprocess import Preprocess
from tljax.errors import InputError
from tljax.files import disk, download
from tljax.tree import Json
from tljax.weights import hub_config

PREFIX, ENDPOINT = "hf:", "https://huggingface.co"
WEIGHTS, CONFIG, PINNED = "model.safetensors", "config.json", "pinned.json"
_REDIRECTIONS = 5  # of a repository that was renamed


@dataclasses.dataclass(frozen=True)
class HubFile:
    """A verified file of weights, and what the hub says of it."""

    path: Path
    preprocess: Preprocess
    size: int  # pixels of a side of the photographs it was trained on
    classes: tuple[str, ...]  # of its top, where the hub has their names
    provenance: Json  # name, url, commit, sha256, and config.json's architecture, licence and crop


@dataclasses.dataclass(frozen=True)
class Pinned:
    """A commit of a repository, and the size and sha256 of its weights."""

    commit: str
    sha256: str
    size: int | None


def fetch(name: str, progress: bool = True) -> HubFile:
    """Download a file of weights and its configuration at first use; verify it at each.

    Kept in `$XDG_CACHE_HOME/tljax/weights/hub`; partial bytes wait there for the next call. The
    environment variable HF_ENDPOINT is another server of the same kind. InputError for a name that
    is none, a repository without such files, a wrong hash, and without a connection.
    """
    repository, revision = _parsed(name)
    folder = cached(name)
    try:
        pinned = _pinned(repository, revision, folder)
        base = _url(repository, pinned.commit)
        config = _config(f"{base}/{CONFIG}", folder / CONFIG)
        file = download.Download(f"{base}/{WEIGHTS}", size=pinned.size, sha256=pinned.sha256)
        download.fetch(file, folder / WEIGHTS, progress=progress)
    except disk.Unwritable:
        raise
    except _Refused as error:
        raise InputError(f"{name}: {error}") from None
    except (InputError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{name}: {reason}; without a connection, run this once where there is one and copy "
            f"{folder}, or give a file: --weights FILE"
        ) from None
    told = hub_config.read(config, str(folder / CONFIG))
    about = {"name": name, "url": file.url, "commit": pinned.commit, "sha256": pinned.sha256}
    provenance = about | {"size": told.size} | told.about
    return HubFile(folder / WEIGHTS, told.preprocess, told.size, told.classes, provenance)


def cached(name: str) -> Path:
    """Return the folder where the files of a name are kept."""
    repository, revision = _parsed(name)
    folder = f"{repository}@{revision}".replace("/", "--")
    return default_folder() / "weights" / "hub" / folder


class _Refused(Exception):
    """The hub answered, and a connection would not help."""


def _parsed(name: str) -> tuple[str, str]:
    """Return repository and revision of a name."""
    match = re.fullmatch(r"hf:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", name)
    if match is None:
        raise InputError(f"{name}: expected hf:OWNER/REPO or hf:OWNER/REPO@REVISION")
    return match[1], match[2] or "main"


def _url(repository: str, revision: str) -> str:
    endpoint = (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    return f"{endpoint}/{repository}/resolve/{urllib.parse.quote(revision, safe='')}"


def _pinned(repository: str, revision: str, folder: Path) -> Pinned:
    """Return the commit that the folder keeps, or else the hub's of today."""
    note = folder / PINNED
    if note.is_file():
        try:
            return Pinned(**json.loads(note.read_bytes()))
        except (ValueError, TypeError):
            raise _Refused(f"{note}: expected commit, sha256 and size: remove {folder}") from None
    headers = _head(f"{_url(repository, revision)}/{WEIGHTS}")
    etag = (headers.get("X-Linked-Etag") or "").removeprefix("W/").strip('"')
    if not re.fullmatch(r"[0-9a-f]{64}", etag):
        raise _Refused(f"expected the sha256 of {WEIGHTS} in X-Linked-Etag, found {etag!r}")
    size = headers.get("X-Linked-Size") or ""
    commit = headers.get("X-Repo-Commit") or revision
    pinned = Pinned(commit, etag, int(size) if size.isdecimal() else None)
    disk.write(note, json.dumps(dataclasses.asdict(pinned)).encode())
    return pinned


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follow no redirection: what the hub says of a file is said beside it."""

    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any
    ) -> None:
        """Return no request."""


def _head(url: str) -> Message:
    """Return the hub's headers for a file: those with its digest, or else the last."""
    opener = urllib.request.build_opener(_Stay)
    for _ in range(_REDIRECTIONS):
        ask = urllib.request.Request(url, method="HEAD")
        try:
            with opener.open(ask, timeout=download.TIMEOUT_SECONDS) as response:
                return response.headers
        except urllib.error.HTTPError as error:
            error.close()
            if not 300 <= error.code < 400:
                raise _refused(error) from None
            if "X-Linked-Etag" in error.headers:
                return error.headers
            url = urllib.parse.urljoin(url, error.headers.get("Location", ""))
    raise _Refused(f"{url}: expected a file, found {_REDIRECTIONS} redirections")


def _config(url: str, path: Path) -> bytes:
    """Return the configuration, downloaded at first use and checked where its ETag is a git's."""
    if path.is_file():
        return path.read_bytes()
    try:
        with urllib.request.urlopen(url, timeout=download.TIMEOUT_SECONDS) as response:
            text, etag = response.read(), response.headers.get("ETag", "")
    except urllib.error.HTTPError as error:
        error.close()
        raise _refused(error) from None
    expected = etag.removeprefix("W/").strip('"')
    found = hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest()
    if re.fullmatch(r"[0-9a-f]{40}", expected) and found != expected:
        raise InputError(f"{url}: expected git object {expected}, found {found}")
    disk.write(path, text)
    return text


def _refused(error: urllib.error.HTTPError) -> Exception:
    """Say why the hub gives no file; an error of the server's own comes back as it is."""
    if error.code >= 500 or error.code == http.HTTPStatus.TOO_MANY_REQUESTS:
        return InputError(f"{error.url}: {error.code} {error.reason}")
    said = error.headers.get("X-Error-Message") or error.reason
    hint = "private, gated or not there" if error.code in (401, 403) else "check the name"
    return _Refused(f"{error.url}: {error.code}: {said} ({hint})")
