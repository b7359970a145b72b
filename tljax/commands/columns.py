"""The options that say which columns of a table hold files and labels."""

import argparse

from tljax.data.label_columns import Columns


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


def columns_of(args: argparse.Namespace) -> Columns:
    """Return the columns that the options name."""
    return Columns(args.file_column, args.label_columns, args.label_separator)


def _several(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
