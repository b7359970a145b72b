"""List the training photographs whose label is probably wrong, with a page and a file to act on.

    tljax cross-validate --data folder:PHOTOS --weights efficientnet-lite0 --seeds 3
    tljax suspects --run runs/cross_validate
    tljax ladder --data folder:PHOTOS --decisions runs/cross_validate/suspects.csv ...

--run is a finished cross-validation: its logits are those of networks that had not seen the
photograph, which probabilities on training photographs are not. Look at suspects.html, and write
keep, relabel or delete into the column `decision` of suspects.csv (relabel takes the class in
`new_label`, which is the suggested one until you change it; an empty decision keeps). Every command
that trains reads the file again with --decisions, and so does cross-validate: the next round looks
at what is left. --decide relabel or delete fills the column in, for the bold.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tljax.commands import cli
from tljax.commands.inside import data_of
from tljax.data import decisions
from tljax.data.decisions import DELETE, RELABEL, Decision
from tljax.errors import InputError
from tljax.methods import suspects
from tljax.report.pages import suspects as page
from tljax.report.tables import few
from tljax.runs import out_of_fold
from tljax.runs.results import read_json, read_results
from tljax.tree import Json

FILE = "suspects.csv"


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    csv, where = args.run / FILE, args.run / "config.json"
    if csv.exists() and not args.overwrite:
        raise InputError(
            f"{csv}: it may hold your decisions; rename it, or pass --overwrite to lose them"
        )
    config = read_json(where)
    size = read_results(args.run / "results.json")["data"]["size"]
    sets = data_of(config, size=size, where=where, progress=not args.quiet)
    likely = out_of_fold.probabilities(args.run, sets)
    found = suspects.suspects(likely, sets.train.labels)
    lines = [
        Decision(
            sets.train.ids[place],
            sets.classes[sets.train.labels[place]],
            args.decide or "",
            sets.classes[other],
        )
        for place, other in zip(found.places, found.suggested, strict=True)
    ]
    more = [
        {
            "p_label": f"{likely[place, sets.train.labels[place]]:.4f}",
            "p_new_label": f"{likely[place, other]:.4f}",
        }
        for place, other in zip(found.places, found.suggested, strict=True)
    ]
    decisions.write(csv, lines, more)
    onward = _next(config, run=args.run, size=size)
    written = page.write(
        args.run / "suspects.html",
        sets,
        likely,
        places=found.places.tolist(),
        suggested=found.suggested.tolist(),
        counts=suspects.joint(likely, sets.train.labels),
        how=[
            f"In {csv}, write keep, relabel or delete into the column decision.",
            *(line for what, command in onward.items() for line in (f"Then, {what}:", command)),
        ],
    )
    share = len(lines) / len(sets.train)
    print(f"{len(lines)} of {len(sets.train):,} training labels to look at ({100 * share:.1f} %)")
    for line, extra in zip(lines[:10], more, strict=False):
        print(f"  {line.id}: {line.label}, rather {line.new_label} {extra['p_new_label']}")
    accuracy = float(np.mean(likely.argmax(1) == sets.train.labels))
    print(f"out of fold, {100 * accuracy:.1f} % have the class of their label")
    print(f"{csv}\n{written}")
    for what, command in onward.items():
        print(f"{what}, once {FILE} has decisions:\n  {command}")


def _next(config: Json, *, run: Path, size: int) -> dict[str, str]:
    """Give the commands that follow, to be pasted: what each does -> the command."""
    arguments = config["arguments"] | {"decisions": run / FILE}
    words = few.options(arguments, size=size)
    again = ["--folds", str(arguments["folds"]), "--seeds", str(arguments["seeds"])]
    return {
        "to train with it": _pasted("ladder", words, run.parent / "ladder-decided"),
        "to see what is left": _pasted(
            "cross-validate", [*words, *again], run.parent / f"{run.name}-decided"
        ),
    }


def _pasted(command: str, words: Sequence[str], workdir: Path) -> str:
    return shlex.join(["tljax", command, *words, "--workdir", str(workdir)])


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="suspects")
    add = parser.add_argument
    what = "the workdir of tljax cross-validate"
    add("--run", type=cli.path, required=True, metavar="DIR", help=what)
    decide = "fill in the decision on every suspect (none: a person's)"
    add("--decide", choices=(RELABEL, DELETE), help=decide)
    add("--overwrite", action="store_true", help="write suspects.csv anew")
    add("--quiet", action="store_true", help="no progress bars")
    return parser
