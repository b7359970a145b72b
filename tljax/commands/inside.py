"""Look inside a trained run: pictures of its filters, activations, reasons and mistakes.

    tljax inside --run runs/ladder --rung finetune IMAGE ...

Writes inside.html, and each picture as a PNG file, to RUN/inside/RUNG-seedSEED; the page can be
read as soon as its path is printed, while others are drawn. Without photographs, some of the
validation set are explained.
"""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tljax import data, waiting
from tljax.commands import cli, running
from tljax.data import ImageSet, ImageSets, augment
from tljax.data.augment import Augment
from tljax.errors import InputError
from tljax.inside.net import Net
from tljax.report.inside import layout, sheets, units
from tljax.report.inside.layout import Sheet
from tljax.report.inside.sheets import Photos
from tljax.report.pages.inside import write_sheets
from tljax.runs import predictions
from tljax.runs.predict import load_run, read_photos
from tljax.runs.results import read_json, read_results, typed
from tljax.tasks.text import TEXT
from tljax.train.outcome.trained import refuse_other

Settings = dict[str, Any]  # a run's config.json: arguments, data, plan
EXPLAINED = 6  # photographs, by default
SEARCHED = 300  # photographs of training, for neighbours and for what excites a unit
VALIDATION_FRACTION = 0.2  # of a run that recorded none: the default of `data.load`


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    config = read_json(args.run / "config.json")
    trained = load_run(args.run, rung=args.rung, seed=args.seed)
    refuse_other(trained, "inside")
    net = trained.net
    names = tuple(path.name for path in args.images)
    shown = Photos(read_photos(args.images, size=net.size), names) if args.images else None
    sets = data_of(config, size=net.side, where=args.run / "config.json", progress=not args.quiet)
    photos = shown or some_of(sets)
    folder = args.run / "inside" / f"{net.rung}-seed{net.seed}"
    likely = probabilities_of(args.run, net, sets.validation)
    todo = pictures(net, sets, photos, likely, augment_of(config, net))
    page, drawn, left = folder / "inside.html", list[Sheet](), list(todo)
    with waiting.bar(len(todo), "draw", unit="pictures", shown=not args.quiet) as bar:
        for name, draw in todo.items():
            bar.set_description(f"draw {name}")
            drawn.append(draw())
            left.remove(name)
            layout.write(drawn[-1], folder / f"{name}.png")
            write_sheets(page, f"Inside {net.rung}, seed {net.seed}", drawn, waiting=left)
            if len(drawn) == 1:  # to be looked at while the others are drawn
                waiting.say(str(page))
            bar.update()


def pictures(
    net: Net, sets: ImageSets, photos: Photos, likely: np.ndarray, augment: Augment | None
) -> dict[str, Callable[[], Sheet]]:
    """Map the name of each picture to the function that draws it, the quickest to say most first.

    `likely` are the probabilities of the validation photographs.
    """
    some = evenly(sets.train, count=SEARCHED)
    chosen = functools.cache(lambda: units.chosen_units(net, some.images))
    # A rung on saved features does not augment, so it has no such picture.
    warped = {"augmented": lambda: sheets.augmented(net, photos, augment)} if augment else {}
    return {
        "gradcam": lambda: sheets.grad_cam(net, photos),
        "top_losses": lambda: sheets.top_losses(net, sets.validation, likely),
        **warped,
        "filters": lambda: units.filters(net),
        "activations": lambda: units.activations(net, photos.images[0], photos.names[0]),
        "neighbours": lambda: sheets.neighbours(net, photos, some),
        "patches": lambda: units.patches(net, some.images, chosen()),
        "maximised": lambda: units.maximised(net, chosen()),
    }


def probabilities_of(run: Path, net: Net, split: ImageSet) -> np.ndarray:
    """Return the probabilities of validation, as the run kept them; computed where it did not."""
    kept = predictions.read(run, read_results(run / "results.json")).get(net.rung)
    if kept is None:
        return sheets.probabilities(net, split.images)
    return kept.probabilities[kept.seeds.index(net.seed)]


def evenly(split: ImageSet, *, count: int) -> ImageSet:
    """Select photographs spread evenly over a split: sources list them class by class."""
    places = np.unique(np.linspace(0, len(split.labels) - 1, count).round().astype(int))
    ids = tuple(split.ids[place] for place in places)
    return ImageSet(split.images[places], split.labels[places], ids, split.task)


def data_of(config: Settings, *, size: int | list[int], where: Path, progress: bool) -> ImageSets:
    """Load the photographs that a run was trained on; InputError where they have changed since."""
    arguments, known = (typed(config, name, dict, str(where)) for name in ("arguments", "data"))
    if arguments.get("task") == TEXT.name:
        raise InputError(f"{where}: expected a run on photographs, found one on texts")
    fraction = arguments.get("validation_fraction")
    sets = data.load(
        typed(known, "source", str, str(where)),
        size=size if isinstance(size, int) else min(size),
        labels=data.Labels(
            arguments.get("task"),
            arguments.get("file_column") or "",
            tuple(arguments.get("label_columns") or ()),
            arguments.get("label_separator") or "",
            tuple(arguments.get("classes") or ()),
            tuple(arguments.get("void") or ()),
        ),
        validation_fraction=VALIDATION_FRACTION if fraction is None else fraction,
        tolerance=data.Tolerance(
            skip_corrupt=bool(arguments.get("skip_corrupt")),
            allow_duplicates=bool(arguments.get("allow_duplicates")),
            follow_links=bool(arguments.get("follow_links")),
        ),
        places=data.Places(tfds=arguments.get("data_dir")),
        progress=progress,
    )
    sets = running.decided(sets, arguments.get("decisions"))
    if sets.digest != known.get("digest"):
        raise InputError(
            f"{where}: expected the photographs of the run, "
            f"found that {sets.name} has changed since"
        )
    return sets


def augment_of(config: Settings, net: Net) -> Augment | None:
    """Return the augmentation of the rung's stage, or None."""
    ranges = config.get("plan", {}).get(net.rung, {}).get("stage", {}).get("augment")
    return augment.read(ranges) if ranges else None


def some_of(sets: ImageSets, *, count: int = EXPLAINED) -> Photos:
    """Select photographs spread evenly over validation."""
    some = evenly(sets.validation, count=count)
    return Photos(some.images, tuple(f"a {sets.classes[label]}" for label in some.labels))


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
    cli.run_options(parser)
    add("--quiet", action="store_true", help="no progress bars")
    cli.own_base_option(parser)
    return parser
