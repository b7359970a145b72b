"""Files beside the photographs of a data set: how many are left out, and why."""

import collections
import os
import pathlib
from collections.abc import Callable, Collection, Iterator, Mapping

from tljax.data import photos

# Folders and files that systems leave beside photographs, in lower case.
SYSTEM = (
    "__macosx",
    "@eadir",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "thumbs.db",
    "desktop.ini",
)
KINDS = 5  # extensions that are named


def of_folder(
    root: pathlib.Path,
    folders: Mapping[str, pathlib.Path],
    used: Collection[str],
    *,
    readable: Callable[[str], bool] = photos.readable,
    what: str = "photographs",
) -> tuple[str, ...]:
    """Count the visible files below `root` that are no examples, a text for each reason.

    `folders` are those of the splits, `used` the paths of the examples, relative to `root`;
    `readable` tells an example by its name, and `what` examples are.
    """
    tops = {path.relative_to(root).parts for path in folders.values()}

    def reason(path: pathlib.PurePosixPath) -> str:
        above = path.parent.parts
        top = next((top for top in tops if above[: len(top)] == top), None)
        if top is None:
            return f"outside {' and '.join(sorted('/'.join(top) for top in tops))}"
        return "outside a class folder" if above == top else "in a folder below a class"

    return _texts(root, used, reason, readable=readable, what=what)


def of_table(root: pathlib.Path, used: Collection[str], *, table: str) -> tuple[str, ...]:
    """Count the visible files below `root` that a table of labels does not name, itself aside."""
    return _texts(root, {*used, table}, lambda path: f"not in {table}")


def deeper(root: pathlib.Path) -> list[str]:
    """List the photographs anywhere below `root`, relative to it."""
    return [str(path) for path in _files(root) if photos.readable(path.name)]


def _texts(
    root: pathlib.Path,
    used: Collection[str],
    reason: Callable[[pathlib.PurePosixPath], str],
    *,
    readable: Callable[[str], bool] = photos.readable,
    what: str = "photographs",
) -> tuple[str, ...]:
    counts: dict[str, list[str]] = collections.defaultdict(list)
    others: collections.Counter[str] = collections.Counter()
    for path in _files(root):
        if str(path) in used:
            continue
        if readable(path.name):
            counts[reason(path)].append(str(path))
        elif advice := photos.plugin(path.name):
            counts[f"{path.suffix.lower()} ({advice})"].append(str(path))
        else:
            others[path.suffix.lower() or "without an extension"] += 1
    texts = [f"{len(paths):,} {why}, such as {min(paths)}" for why, paths in counts.items()]
    kinds = [f"{count:,} {kind}" for kind, count in others.most_common(KINDS)]
    more = [f"{len(others) - KINDS} other kinds"] if len(others) > KINDS else []
    return (*texts, *([f"no {what}: {', '.join([*kinds, *more])}"] if kinds else []))


def _files(root: pathlib.Path) -> Iterator[pathlib.PurePosixPath]:
    """Go through the visible files below `root`, relative to it; links to folders are not followed.

    What cannot be read is passed over here: where it holds examples, reading them says so.
    """
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if _visible(name))
        where = pathlib.Path(folder).relative_to(root)
        for name in sorted(filter(_visible, names)):
            yield pathlib.PurePosixPath((where / name).as_posix())


def _visible(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in SYSTEM
