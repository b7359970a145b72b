"""Classify photographs with a trained run.

    tljax predict --run runs/ladder IMAGE ...

One line per photograph: its class with the probability, then the other classes. Without --rung and
--seed the classifier is the run's one with the highest validation accuracy, which makes that figure
optimistic.
"""

import json
from pathlib import Path

from tljax.commands import cli
from tljax.runs.predict import Trained, load_run


def main() -> None:
    """Run the command."""
    parser = cli.bare_parser(__doc__, experiment="predict")
    add = parser.add_argument
    add("images", nargs="+", type=Path, metavar="IMAGE", help="JPEG, PNG, WebP, BMP or GIF")
    add("--run", type=Path, required=True, metavar="DIR", help="the workdir of a run")
    add("--rung", help="which of its rungs (the best in validation)")
    add("--seed", type=int, help="which of its seeds (the best in validation)")
    cli.base_option(parser)
    add(
        "--json",
        action="store_true",
        help="a JSON object: class -> probability, for each photograph",
    )
    args = parser.parse_args()
    classifier = load_run(args.run, rung=args.rung, seed=args.seed)
    likely = [
        dict(zip(classifier.classes, row.tolist(), strict=True)) for row in classifier(args.images)
    ]
    if args.json:
        print(
            json.dumps(
                {str(path): row for path, row in zip(args.images, likely, strict=True)}, indent=1
            )
        )
        return
    print(f"{args.run}: {classifier.rung}, seed {classifier.seed}, {_size(classifier)}")
    for path, row in zip(args.images, likely, strict=True):
        classes = sorted(row.items(), key=lambda pair: -pair[1])
        print(f"{path}: {', '.join(f'{name} {p:.1%}' for name, p in classes)}")


def _size(classifier: Trained) -> str:
    return f"images of {classifier.size} x {classifier.size}"
