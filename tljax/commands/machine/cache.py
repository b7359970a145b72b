"""List what is kept on this disk for later runs, and delete what was not read for long.

    tljax cache
    tljax cache --older-than 30
    tljax cache --prune 5GB --delete

Kept are photographs as decoded, features of frozen bases, tokens, compiled programs, timings of
convolutions and downloaded weights, in ~/.cache/tljax or $XDG_CACHE_HOME/tljax, for all runs. What
is deleted is made again when a run needs it; weights, which may be out of reach, and timings, which
are small, are never deleted. --older-than takes what no run has read for so many days, --prune the
least recently read until no more than so much stays. Without --delete they only say what they would
delete. What another process writes, and what was used within the hour, stays. Data and base are the
first digits of their digests, as in the names of the folders. Many disks note once a day that a
file was read, and some never: then it counts as read when it was written.
"""

import argparse
import re
import time
from collections.abc import Sequence
from datetime import datetime

from tljax.commands import cli
from tljax.errors import InputError
from tljax.files import kept
from tljax.files.home import default_folder
from tljax.files.kept import Kept
from tljax.report.tables.table import aligned

UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
DAY = 86400
Row = tuple[str, ...]


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    asked = args.older_than is not None or args.prune is not None
    if args.delete and not asked:
        raise InputError("--delete: expected --older-than or --prune with it, found neither")
    folder = default_folder()
    every = kept.kept(folder)
    print(f"{folder}: {_size(sum(each.bytes for each in every))}")
    if not asked:
        _show(every)
        return
    older = None if args.older_than is None else args.older_than * DAY
    chosen = kept.chosen(every, older=older, most=args.prune, now=time.time())
    _show(chosen)
    if not args.delete:
        left = sum(each.bytes for each in every) - sum(each.bytes for each in chosen)
        print(f"these would be deleted, and {_size(left)} would stay: --delete does it")
        return
    gone = [each for each in chosen if kept.delete(folder, each)]
    stayed = len(chosen) - len(gone)
    more = f"; {stayed} in use stay" if stayed else ""
    print(f"deleted {_size(sum(each.bytes for each in gone))}{more}")


def _show(every: Sequence[Kept]) -> None:
    """Print a row for all of one kind, layer, data and base; the largest first."""
    rows: dict[Row, list[Kept]] = {}
    for each in every:
        apart = each.what if each.kind not in ("programs", "tokens", "timings") else ""
        rows.setdefault((each.kind, apart, each.data, each.base), []).append(each)
    shown = sorted(rows.items(), key=lambda row: -sum(each.bytes for each in row[1]))
    head = ("kind", "what", "data", "base", "files", "bytes", "last read")
    cells = [
        (
            *(text or "-" for text in name),
            f"{sum(len(each.files) for each in row)}",
            _size(sum(each.bytes for each in row)),
            datetime.fromtimestamp(max(each.used for each in row)).strftime("%Y-%m-%d"),
        )
        for name, row in shown
    ]
    print(aligned(head, cells) if cells else "nothing")


def _size(count: float) -> str:
    """Write a number of bytes: '3.1 GB'."""
    unit = next((unit for unit in ("T", "G", "M", "k") if count >= UNITS[unit]), "")
    return f"{count / UNITS[unit]:.1f} {unit}B" if unit else f"{count:.0f} B"


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="cache")
    add = parser.add_argument
    add("--older-than", type=_days, metavar="DAYS", help="what was not read for so many days")
    most = "the least recently read, until at most so much stays: 5GB, 800MB"
    add("--prune", type=_bytes, metavar="SIZE", help=most)
    add("--delete", action="store_true", help="delete it; without this, only say what")
    return parser


def _days(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected days, 0 or more, found {text}")
    return value


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected a size like 5GB or 800MB, found {text}")
    return int(float(found[1]) * UNITS[found[2]])
