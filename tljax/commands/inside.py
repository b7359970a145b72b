"""Look inside a trained run: pictures of its filters, activations, reasons and mistakes.

    tljax inside --run runs/ladder --rung finetune IMAGE ...

Writes PNG files to RUN/inside/RUNG-seedSEED. Without photographs, some of the validation set are
explained.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from tljax import data
from tljax.commands import cli
from tljax.data import ImageSets
from tljax.data.augment import Augment
from tljax.errors import InputError
from tljax.inside.net import Net
from tljax.report.inside import layout, sheets, units
from tljax.report.inside.sheets import Photos
from tljax.runs.predict import load_net, read_photos
from tljax.runs.results import read_json, typed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Settings = dict[str, Any]  # a run's config.json: arguments, data, plan
EXPLAINED = 6  # photographs, by default
VALIDATION_FRACTION = 0.2  # of a run that recorded none: the default of `data.load`


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    config = read_json(args.run / "config.json")
    net = load_net(args.run, rung=args.rung, seed=args.seed)
    names = tuple(path.name for path in args.images)
    shown = Photos(read_photos(args.images, size=net.size), names) if args.images else None
    sets = data_of(config, size=net.size, where=args.run / "config.json", progress=not args.quiet)
    photos = shown or some_of(sets)
    folder = args.run / "inside" / f"{net.rung}-seed{net.seed}"
    written = []
    bar = tqdm(
        pictures(net, sets, photos, augment_of(config, net)).items(),
        unit="picture",
        disable=args.quiet,
    )
    for name, draw in bar:
        bar.set_description(name)
        written.append(layout.write(draw(), folder / f"{name}.png"))
    print("\n".join(map(str, written)))


def pictures(
    net: Net, sets: ImageSets, photos: Photos, augment: Augment | None
) -> "dict[str, Callable[[], Figure]]":
    """Map the name of each picture to the function that draws it."""
    chosen = units.chosen_units(net, sets.train.images)
    drawn: dict[str, Callable[[], Figure]] = {
        "filters": lambda: units.filters(net),
        "activations": lambda: units.activations(net, photos.images[0], photos.names[0]),
        "patches": lambda: units.patches(net, sets.train.images, chosen),
        "maximised": lambda: units.maximised(net, chosen),
        "gradcam": lambda: sheets.grad_cam(net, photos),
        "top_losses": lambda: sheets.top_losses(net, sets.validation),
        "neighbours": lambda: sheets.neighbours(net, photos, sets.train),
    }
    # A rung on saved features does not augment, so it has no such picture.
    return drawn | (
        {"augmented": lambda: sheets.augmented(net, photos, augment)} if augment else {}
    )


def data_of(config: Settings, *, size: int, where: Path, progress: bool) -> ImageSets:
    """Load the photographs that a run was trained on; InputError where they have changed since."""
    arguments, known = (typed(config, name, dict, str(where)) for name in ("arguments", "data"))
    fraction = arguments.get("validation_fraction")
    sets = data.load(
        typed(known, "source", str, str(where)),
        size=size,
        data_dir=arguments.get("data_dir"),
        validation_fraction=VALIDATION_FRACTION if fraction is None else fraction,
        tolerance=data.Tolerance(
            skip_corrupt=bool(arguments.get("skip_corrupt")),
            allow_duplicates=bool(arguments.get("allow_duplicates")),
            follow_links=bool(arguments.get("follow_links")),
        ),
        progress=progress,
    )
    if sets.digest != known.get("digest"):
        raise InputError(
            f"{where}: expected the photographs of the run, "
            f"found that {sets.name} has changed since"
        )
    return sets


def augment_of(config: Settings, net: Net) -> Augment | None:
    """Return the augmentation of the rung's stage, or None."""
    ranges = config.get("plan", {}).get(net.rung, {}).get("stage", {}).get("augment")
    return Augment(**ranges) if ranges else None  # as `dataclasses.asdict` wrote it


def some_of(sets: ImageSets, *, count: int = EXPLAINED) -> Photos:
    """Select photographs spread evenly over validation.

    Sources list them class by class.
    """
    places = np.linspace(0, len(sets.validation.labels) - 1, count).round().astype(int)
    names = [sets.classes[label] for label in sets.validation.labels[places]]
    return Photos(sets.validation.images[places], tuple(f"a {name}" for name in names))


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="inside")
    add = parser.add_argument
    add(
        "images",
        nargs="*",
        type=cli.path,
        metavar="IMAGE",
        help="photographs to explain (some of validation)",
    )
    add("--run", type=cli.path, required=True, metavar="DIR", help="the workdir of a run")
    add("--rung", help="which of its rungs (the best in validation)")
    add("--seed", type=int, help="which of its seeds (the best in validation)")
    add("--quiet", action="store_true", help="no progress bars")
    cli.base_option(parser)
    return parser
