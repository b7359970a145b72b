"""Compare runs on the same photographs on one page.

    tljax compare --out compare.html RUN_DIR RUN_DIR ...

The page has rungs, paired differences, curves, and the settings that differ. Differences are those
of each run against the first. Runs on other photographs are refused.
"""

from pathlib import Path

from tljax.commands import cli
from tljax.report.pages.runs_page import write_comparison


def main() -> None:
    """Run the command."""
    parser = cli.bare_parser(__doc__, experiment="compare")
    add = parser.add_argument
    add("runs", nargs="+", type=cli.path, metavar="RUN_DIR", help="the folders of two runs or more")
    add(
        "--out",
        type=cli.path,
        default=Path("runs/compare.html"),
        metavar="FILE",
        help="the page (runs/compare.html)",
    )
    args = parser.parse_args()
    print(write_comparison(args.runs, out=args.out))
