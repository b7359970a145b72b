"""`python -m tljax.data.critters`: draw a contact sheet."""

import argparse
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tljax.data.critters.draw import draw
from tljax.data.critters.kinds import KINDS
from tljax.errors import InputError


def contact_sheet(
    animals: Sequence[str], *, each: int = 8, seed: int = 0, size: int = 96
) -> Image.Image:
    """Draw a row of `each` photographs for every animal."""
    rows = [
        np.concatenate([draw(a, seed=seed, index=i, size=size) for i in range(each)], 1)
        for a in animals
    ]
    return Image.fromarray(np.concatenate(rows))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Draw a contact sheet of critters.")
    parser.add_argument("--out", default="critters.png")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--animals", nargs="+", default=list(KINDS))
    options = parser.parse_args()
    try:
        sheet = contact_sheet(
            options.animals, each=options.each, seed=options.seed, size=options.size
        )
    except InputError as problem:
        parser.error(str(problem))
    sheet.save(options.out)


if __name__ == "__main__":
    main()
