"""Classify photographs with a trained run.

    tljax predict --run runs/ladder PHOTO ...

A PHOTO is a file, a folder (all photographs in it and below) or a pattern in quotes; for a run on
texts it is a sentence, or .txt files in the same ways. One line per photograph: its likeliest
classes with their probabilities; of a run with several labels those above their thresholds, which
--thresholds fits on validation, of a run with numbers the numbers. A file that cannot be read is
named, the others are classified, and the command ends with status 2. Without --rung and --seed the
classifier is the run's one with the best validation score, which makes that figure optimistic.
--weights names the base of a file that `tljax low-rank --save-difference` wrote: tljax predict
--run FILE --weights BASE PHOTO ...
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from tljax.commands import cli
from tljax.errors import InputError, one_line
from tljax.runs import mask_files
from tljax.runs.base import load_base
from tljax.runs.difference import load_difference
from tljax.runs.predict import Trained, fitted_thresholds, load_run
from tljax.train.outcome.prediction import TOP, Prediction
from tljax.train.outcome.telling import Answers

FORMATS = ("text", "csv", "jsonl", "json")


def main() -> None:
    """Run the command."""
    args = _parsed()
    classifier = _classifier(args)
    _warn(classifier)
    unread: list[str] = []
    dense = classifier.task.dense
    least = fitted_thresholds(args.run, classifier) if args.thresholds == "fitted" else ()
    if args.out and not dense:
        raise InputError(f"--out: expected a run of masks, found {classifier.task.name}")
    parts = (
        mask_files.write(
            classifier,
            args.photos,
            args.out or args.run / "masks",
            views=args.views,
            tell=_teller(unread),
        )
        if dense
        else _predicted(classifier, args.photos, unread, views=args.views)
    )
    if least:
        parts = (replace(part, thresholds=least) for part in parts if isinstance(part, Answers))
    if args.format == "json":  # one document: it is written when all is known
        rows = {name: row for part in parts for name, row in part.document(args.top).items()}
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        _write(parts, args, classifier)
    if unread:
        print(f"error: {len(unread)} could not be read, named above", file=sys.stderr)
        raise SystemExit(2)


def _classifier(args: argparse.Namespace) -> Trained:
    """Load a run's classifier, or with --weights that of a file of differences."""
    if args.weights is None:
        if args.run.is_file():
            raise InputError(
                f"--run {args.run}: expected a folder, or with --weights a file of differences"
            )
        return load_run(args.run, rung=args.rung, seed=args.seed)
    if args.rung is not None or args.seed is not None:
        raise InputError("--weights: a file of differences has one classifier: no --rung or --seed")
    if args.thresholds == "fitted":
        raise InputError("--thresholds fitted: expected a run, found --weights and a file")
    return load_difference(args.run, load_base(args.weights))


def _warn(classifier: Trained) -> None:
    """Say on standard error what was wrong with the rung when it was trained, if anything was."""
    rung, seed, collapsed = classifier.rung, classifier.seed, classifier.history.collapsed
    for found in (collapsed, classifier.alarm):
        if found is not None:
            print(f"warning: {found.line(stage=rung, seed=seed)}", file=sys.stderr, flush=True)


def _predicted(
    classifier: Trained, given: Sequence[str], unread: list[str], *, views: int
) -> Iterator[Prediction]:
    """Classify the photographs batch by batch; name what cannot be read, and add it to `unread`."""
    tell = _teller(unread)
    paths: list[str] = []
    for each in given:
        try:
            paths += classifier.reading(each).names
        except InputError as error:
            tell(str(error))
    read = classifier.reading(paths)
    for part in classifier.stream(read, skip_unread=True, views=views):
        for why in part.unread.values():
            tell(why)
        yield part


def _teller(unread: list[str]) -> Callable[[str], None]:
    def tell(why: str) -> None:
        unread.append(why)
        print(f"error: {why}", file=sys.stderr, flush=True)

    return tell


def _write(parts: Iterable[Prediction], args: argparse.Namespace, classifier: Trained) -> None:
    """Print each batch when it is done."""
    if args.format == "text":
        print(f"{args.run}: {classifier.rung}, seed {classifier.seed}, {classifier.about}")
    for number, part in enumerate(parts):
        if args.format == "text" and number == 0 and isinstance(part, Answers) and part.thresholds:
            print(one_line(part.least()))
        if args.format == "csv":
            lines = part.csv_lines(args.top or TOP, head=number == 0)
        elif args.format == "jsonl":
            lines = part.json_lines(args.top)
        else:
            lines = part.lines(args.top or TOP)
        print("\n".join(map(one_line, lines)), flush=True)


def _parsed() -> argparse.Namespace:
    parser = cli.bare_parser(__doc__, experiment="predict")
    add = parser.add_argument
    kinds = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, or HEIC with pillow-heif"
    add("photos", nargs="+", metavar="PHOTO", help=f"a file, a folder or a pattern: {kinds}")
    cli.run_options(parser)
    add(
        "--top",
        type=cli.positive,
        metavar="K",
        help=f"how many classes of each ({TOP}; all in JSON)",
    )
    how = "a line of text each, CSV, JSON Lines, or one JSON object of class -> probability (text)"
    add("--format", choices=FORMATS, default="text", help=how)
    add("--json", action="store_const", const="json", dest="format", help="as --format json")
    views = "average over K augmented views of each photograph, the same ones each time (none)"
    add("--views", type=cli.positive, default=0, metavar="K", help=views)
    how = (
        "of several labels, above which probability each is given: its share in training or a "
        "half, or fitted to the highest F1 on the run's validation photographs (shares)"
    )
    add("--thresholds", choices=("shares", "fitted"), default="shares", help=how)
    masks = "folder for the masks, PNG, and their overlays, of a run of masks (RUN/masks)"
    add("--out", type=cli.path, metavar="DIR", help=masks)
    base = "the pretrained base of a file of differences that --run names"
    add("--weights", metavar="BASE", help=base)
    cli.own_base_option(parser)
    return parser.parse_args()
