"""Look at photographs before anything trains: counts by class, and two contact sheets.

    tljax show PHOTOS

PHOTOS is what --data is elsewhere. Prints the images of each class and split, and what was left out
and why. Leaves contact.png, the photographs of each class as the network reads them, and
augmented.png, some of them as the first passes of training see them. Of several labels, or numbers,
they are under each photograph; of texts, whose --task is text, the first of each class are printed.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from tljax import config
from tljax.commands import cli, running
from tljax.commands.climb.rung import MASKS, PRESET
from tljax.commands.text import read as texts
from tljax.config import sizes
from tljax.data.augment import Augment, Photometric
from tljax.data.examples import Sets
from tljax.data.text.sets import TextSets
from tljax.report.pictures import contact, mask_sheet, style
from tljax.report.tables.table import aligned
from tljax.tasks.pixels import VOID
from tljax.tasks.text import TEXT

TEXTS, WIDTH = 3, 96  # of a class, and characters of each


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    texts.settle(args, None)
    words = args.task == TEXT.name
    args.size = args.size or (sizes.WINDOW if words else sizes.LECTURE)
    if words:
        read = texts.load(args, None)
        print(f"{read.counts()}\n\n{counts_table(read)}\n\n{first_texts(read)}")
        return
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


def counts_table(sets: Sets) -> str:
    """Align the number of examples of each class in each split, the fewest in training first.

    Of numbers the least, mean and most in each split.
    """
    every = [
        sets.task.counts(part.labels, classes=len(sets.classes)) for part in sets.splits.values()
    ]
    counts = [each for each in every if each is not None]
    if not counts:
        rows = [
            (name, *(_ranged(part.labels[:, i]) for part in sets.splits.values()))
            for i, name in enumerate(sets.classes)
        ]
        return aligned(("least, mean, most", *sets.splits), rows)
    order = np.argsort(counts[0], kind="stable")
    rows = [(sets.classes[i], *(f"{each[i]:,}" for each in counts)) for i in order]
    if sets.task.dense:
        known = (100 * (part.labels != VOID).mean() for part in sets.splits.values())
        rows.append(("pixels of a class", *(f"{each:.1f} %" for each in known)))
    return aligned(("class", *sets.splits), rows)


def first_texts(sets: TextSets) -> str:
    """Return the first training texts of each class, a line each, cut to the width of a page."""
    lines: list[str] = []
    for label, name in enumerate(sets.classes):
        places = np.flatnonzero(sets.train.labels == label)[:TEXTS]
        first = (" ".join(sets.train.texts[place].split()) for place in places)
        lines += [name, *(f"  {style.short(text, WIDTH)}" for text in first)]
    return "\n".join(lines)


def _ranged(values: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" for value in (values.min(), values.mean(), values.max()))


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="show")
    parser.add_argument("data", metavar="PHOTOS", help=cli.SOURCES)
    cli.add_reading(parser, size=sizes.LECTURE)
    parser.set_defaults(size=None)  # other ones for texts
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
