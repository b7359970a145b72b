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

import numpy as np

from tljax.commands import cli
from tljax.commands.inside import data_of
from tljax.data import decisions
from tljax.data.decisions import DELETE, RELABEL, Decision
from tljax.errors import InputError
from tljax.methods import suspects
from tljax.report.pages import suspects as page
from tljax.runs import out_of_fold
from tljax.runs.results import read_json, read_results

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
    written = page.write(
        args.run / "suspects.html",
        sets,
        likely,
        places=found.places.tolist(),
        suggested=found.suggested.tolist(),
        counts=suspects.joint(likely, sets.train.labels),
        how=_how(config, str(csv)),
    )
    share = len(lines) / len(sets.train)
    print(f"{len(lines)} of {len(sets.train):,} training labels to look at ({100 * share:.1f} %)")
    for line, extra in zip(lines[:10], more, strict=False):
        print(f"  {line.id}: {line.label}, rather {line.new_label} {extra['p_new_label']}")
    accuracy = float(np.mean(likely.argmax(1) == sets.train.labels))
    print(f"out of fold, {100 * accuracy:.1f} % have the class of their label")
    print(f"{csv}\n{written}")


def _how(config: dict, csv: str) -> list[str]:
    data = config["arguments"].get("data", "SOURCE")
    return [
        f"In {csv}, write keep, relabel or delete into the column decision; then any command that "
        "trains takes the file, and a second round of cross-validate shows what is left:",
        f"tljax ladder --data {data} --decisions {csv} ...",
    ]


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
