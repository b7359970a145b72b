"""The options that say what labels are: the columns of a table, or the numbers of masks."""

import argparse

from tljax.data.label_columns import Columns
from tljax.data.mask_folder import Legend


def add_columns(group: argparse._ActionsContainer) -> None:
    """Add the options that name columns of `csv:FILE`."""
    add = group.add_argument
    add("--file-column", default="", metavar="NAME", help="of csv: the column of file names")
    add(
        "--label-columns",
        type=_several,
        default=(),
        metavar="NAME[,NAME]",
        help="of csv: the column of classes, of lists of labels or of numbers; or several",
    )
    add(
        "--label-separator",
        default="",
        metavar="TEXT",
        help="of csv: what is between several labels of one cell (; or | or ,)",
    )
    add(
        "--classes",
        type=_several,
        default=(),
        metavar="NAME[,NAME]",
        help="of masks: names of their numbers, in order (classes.txt, or the numbers)",
    )
    add(
        "--void",
        type=_numbers,
        default=(),
        metavar="N[,N]",
        help="of masks: numbers of pixels without a class, besides 255",
    )


def columns_of(args: argparse.Namespace) -> Columns:
    """Return the columns that the options name."""
    return Columns(args.file_column, args.label_columns, args.label_separator)


def legend_of(args: argparse.Namespace) -> Legend:
    """Return what the numbers of masks stand for."""
    return Legend(args.classes, args.void)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in _several(text))
    except ValueError:
        expected = f"expected numbers such as 11,12, found {text!r}"
        raise argparse.ArgumentTypeError(expected) from None


def _several(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
