"""List what the cache keeps and when it was last read, and delete what was not read for long.

Which parts of a program write there: `data.cache` (photographs, decoded), `inputs.activations`
(features), `data.text` (tokens), `commands.running` (compiled programs), `machine.lowering` (timed
convolutions), `weights` (downloads). Only files of these names are seen, and no link is followed.
"""

# pyright: strict

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tljax.errors import InputError
from tljax.files import lock

STAY = ("weights", "timings")  # kinds that are never deleted: downloaded, and small
RECENT = 3600  # seconds: what was used since may be in use
_DECODED = re.compile(r"[0-9a-f]{64}\.(npy|json)")
_WRITING = "writing-*"  # the folders that writers of decoded photographs hold


@dataclass(frozen=True)
class Kept:
    """Files that are made, read and deleted together."""

    kind: str
    what: str  # the layer of features; a name
    data: str  # as the first digits of its digest; "" where that is not in the name
    base: str
    files: tuple[Path, ...]
    bytes: int
    used: float  # seconds since 1970: last read or written, as the disk notes it

    @property
    def folder(self) -> Path:
        """Return the folder that is locked while the files are written."""
        return self.files[0].parent


def kept(cache: Path) -> list[Kept]:
    """List what lies in the cache, the least recently used first."""
    found = [*_decoded(cache), *_features(cache / "features")]
    for kind, name in (("tokens", "tokens"), ("programs", "xla"), ("weights", "weights")):
        found += [_made(kind, [file], what=file.name) for file in _below(cache / name)]
    found += [_made("timings", [file]) for file in _below(cache / "lowering")]
    return sorted(found, key=lambda each: each.used)


def chosen(
    every: Sequence[Kept], *, older: float | None, most: int | None, now: float
) -> list[Kept]:
    """Choose what to delete, the least recently used first.

    Not used for `older` seconds; or so much that at most `most` bytes stay. Neither of a kind that
    stays, nor used within `RECENT`.
    """
    free = [each for each in every if each.kind not in STAY and each.used < now - RECENT]
    old = [each for each in free if older is not None and each.used < now - older]
    left = sum(each.bytes for each in every) - sum(each.bytes for each in old)
    more: list[Kept] = []
    for each in free:
        if most is None or left <= most:
            break
        if each not in old:
            more.append(each)
            left -= each.bytes
    return [*old, *more]


def delete(cache: Path, each: Kept) -> bool:
    """Delete the files; False where another process writes there, or has used them since."""
    with contextlib.ExitStack() as until:
        folders = [each.folder]
        if each.kind == "photographs":  # whose writers hold folders of their own
            folders += [path for path in cache.glob(_WRITING) if not path.is_symlink()]
        if not all(_locked(folder, until) for folder in folders):
            return False
        try:
            if _used(each.files) != each.used:
                return False
            for file in each.files:
                file.unlink(missing_ok=True)
        except FileNotFoundError:  # another process deleted it
            return False
        except PermissionError as error:  # or on Windows: it is open
            raise InputError(f"{error.filename}: cannot be deleted: {error.strerror}") from None
    return True


def _locked(folder: Path, until: contextlib.ExitStack) -> bool:
    """Lock a folder until `until` ends; False where another process holds it."""
    try:
        handle = lock.taken(folder, wait=False)
    except BlockingIOError:
        return False
    except OSError:  # a writer's folder that has just gone
        return not folder.exists()
    if handle is not None:
        until.callback(os.close, handle)
    return True


def _decoded(cache: Path) -> Iterator[Kept]:
    """Find arrays of photographs, each with its description."""
    stems: dict[str, list[Path]] = {}
    for file in _files(cache):
        if _DECODED.fullmatch(file.name):
            stems.setdefault(file.stem, []).append(file)
    for stem, files in stems.items():
        yield _made("photographs", sorted(files), what=stem[:8])


def _features(folder: Path) -> Iterator[Kept]:
    """Find activations: `LAYER-DATA-BASE/*`, a file for each view of a split."""
    for each in _entries(folder):
        layer, *digests = each.name.rsplit("-", 2)
        if each.is_dir(follow_symlinks=False) and len(digests) == 2:
            for file in _files(Path(each.path)):
                if file.suffix in (".h5", ".part", ".draft"):
                    yield _made("features", [file], what=layer, data=digests[0], base=digests[1])


def _made(
    kind: str, files: Sequence[Path], *, what: str = "", data: str = "", base: str = ""
) -> Kept:
    size = sum(file.lstat().st_size for file in files)
    return Kept(kind, what, data, base, tuple(files), size, _used(files))


def _used(files: Sequence[Path]) -> float:
    """Return when files were last read or written; a disk may note reading once a day, or never."""
    stats = [file.lstat() for file in files]
    return max(max(stat.st_atime, stat.st_mtime) for stat in stats)


def _below(folder: Path) -> Iterator[Path]:
    yield from _files(folder)
    for each in _entries(folder):
        if each.is_dir(follow_symlinks=False):
            yield from _below(Path(each.path))


def _files(folder: Path) -> list[Path]:
    return [Path(each.path) for each in _entries(folder) if each.is_file(follow_symlinks=False)]


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    """List a folder that is no link; empty where there is none."""
    if folder.is_symlink() and folder.name in ("features", "tokens", "xla", "weights", "lowering"):
        return []
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda each: each.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
