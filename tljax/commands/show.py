"""Look at photographs before anything trains: counts by class, and two contact sheets.

    tljax show PHOTOS

PHOTOS is what --data is elsewhere. Prints the images of each class and split, and what was left out
and why. Leaves contact.png, the photographs of each class as the network reads them, and
augmented.png, some of them as the first passes of training see them.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from tljax import config
from tljax.commands import cli, running
from tljax.commands.climb.rung import MASKS, PRESET
from tljax.config import sizes
from tljax.data import ImageSets
from tljax.data.augment import Augment, Photometric
from tljax.report.pictures import contact, mask_sheet
from tljax.report.tables.table import aligned


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    sets = running.load(args, args.data, size=args.size)
    print(f"{sets.counts()}\n\n{counts_table(sets)}\n")
    dense = sets.task.dense
    preset = args.preset or (MASKS if dense else PRESET)
    augment, sheets = config.PRESETS[preset][args.rung].augment, mask_sheet if dense else contact
    written = [sheets.write_contact(sets, path=args.out / "contact.png")]
    if isinstance(augment, Augment):
        augment = replace(augment, photometric=Photometric() if args.photometric else None)
        written.append(sheets.write_augmented(sets, augment, path=args.out / "augmented.png"))
    print("\n".join(map(str, written)))


def counts_table(sets: ImageSets) -> str:
    """Align the number of images of each class in each split, the fewest in training first."""
    every = [x.task.counts(x.labels, classes=len(sets.classes)) for x in sets.splits.values()]
    counts = [each for each in every if each is not None]
    if not counts:
        return ""
    order = np.argsort(counts[0], kind="stable")
    rows = [(sets.classes[i], *(f"{each[i]:,}" for each in counts)) for i in order]
    return aligned(("class", *sets.splits), rows)


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="show")
    parser.add_argument("data", metavar="PHOTOS", help=cli.SOURCES)
    cli.add_reading(parser, size=sizes.LECTURE)
    add = parser.add_argument
    add(
        "--rung",
        choices=config.STEPPED,
        default="frozen",
        help="whose augmentation is shown (frozen)",
    )
    add(
        "--preset",
        choices=sorted(config.PRESETS),
        help=f"the preset that it is taken from ({PRESET}; {MASKS} for masks)",
    )
    also = "show it with what --photometric adds when you train"
    add("--photometric", action="store_true", help=also)
    add(
        "--out",
        type=cli.path,
        default=Path("runs/show"),
        metavar="DIR",
        help="where the sheets go (runs/show)",
    )
    add("--quiet", action="store_true", help="no progress bars")
    return parser
