"""Walk from one rung to another, and judge each point within and without distribution.

    tljax interpolate --run runs/ladder --from frozen --to finetune
    tljax interpolate --run runs/ladder --from frozen --to finetune --save runs/between

Both rungs have one network and one is trained from the other: their head is the same at the start.
Leaves interpolate.json, interpolate.png and interpolate.html in the run's folder. With --save the
point that validation prefers, or --share, is written as a classifier of the best seed, for
`tljax predict --run FOLDER`.

"chosen" takes the point that is best on one half of the photographs and is judged on the other
half: what choosing on validation brings, without its optimism.
"""

import argparse
from pathlib import Path

import numpy as np

from tljax.commands import cli
from tljax.commands.generalise import conditions, shifting
from tljax.errors import InputError
from tljax.methods import interpolate
from tljax.methods.judge import Judge
from tljax.report.pages import shifted as page
from tljax.report.pictures.shifted import write_path
from tljax.report.stats.shifts import PLAIN, Judged
from tljax.report.tables import shifted as table
from tljax.runs.predict import Trained
from tljax.train.outcome import saved

HALF = "half way"


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    if args.points < 3 or args.points % 2 == 0:
        raise InputError(f"--points: expected an odd number of 3 or more, found {args.points}")
    if args.start == args.end:
        raise InputError(f"--to: expected another rung than --from, found {args.end}")
    if args.share is not None and not args.save:
        raise InputError("--share: expected --save with it, found none")
    if args.save:
        saved.refuse_other(args.save)
    shifts = shifting.photographs(args)
    shifts.halved()
    loaded = shifting.members(args.run, [args.start, args.end])
    before, after = loaded[args.start], loaded[args.end]
    judge = Judge([*before, *after])
    at = interpolate.shares(args.points)
    ways = {_name(share, args): interpolate.weights(share, len(before)) for share in at}
    found = shifting.judged(judge, shifts, ways)
    names, half = list(ways), at.index(0.5)
    # Of equal points the nearest to the middle is chosen.
    order = sorted(range(len(at)), key=lambda i: abs(at[i] - 0.5))
    chosen = {"chosen": found.chosen([names[i] for i in order])}
    whole = Judged({**found.right, **chosen}, found.columns)
    ends = (args.end, args.start)
    document = {
        "about": shifts.about() + f" Seeds: {', '.join(str(each.seed) for each in before)}.",
        **whole.to_dict([(way, end) for way in ("chosen", HALF) for end in ends]),
    }
    shifting.write(args.run, "interpolate", document, args)
    title = f"From {args.start} to {args.end}"
    along = {**document, "ways": {name: document["ways"][name] for name in names}}
    ends = (args.start, args.end)
    write_path(along, at, title=title, ends=ends, path=args.run / "interpolate.png")
    print(table.text(document))
    if args.save:
        right = [float(found.right[name][PLAIN].mean()) for name in names]
        share = at[max(order, key=lambda i: right[i])] if args.share is None else args.share
        seed = int(np.argmax(found.right[names[half]][PLAIN].mean(1)))
        print(f"\n{_save(args, before[seed], after[seed], share, judge, shifts, seed)}")
    print(f"\n{page.write(document, folder=args.run, name='interpolate', title=title)}")


def _name(share: float, args: argparse.Namespace) -> str:
    """Name a point of the line: its ends as the rungs, the middle, others by their share."""
    return {0.0: args.start, 0.5: HALF, 1.0: args.end}.get(share, f"{share:g}")


def _save(
    args: argparse.Namespace,
    before: Trained,
    after: Trained,
    share: float,
    judge: Judge,
    shifts: conditions.Shifts,
    seed: int,
) -> Path:
    """Write the classifier at a share, with its scores on the photographs as they are."""
    rung = f"{args.start}-{args.end}-{share:g}"
    made = interpolate.named(after, [before, after], [1 - share, share], rung=rung)
    seeds = judge.count // 2
    weights = interpolate.weights(share, seeds)[seed : seed + 1]
    logits = judge.logits(shifts.split.images, weights)[0]
    return interpolate.scored(made, logits, shifts.split.labels).save(args.save)


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="interpolate")
    shifting.run_options(parser)
    add = parser.add_argument
    add("--from", dest="start", default="frozen", metavar="RUNG", help="where it starts (frozen)")
    add("--to", dest="end", default="finetune", metavar="RUNG", help="where it ends (finetune)")
    add("--points", type=cli.positive, default=11, metavar="N", help="how many points (11)")
    add("--save", type=cli.path, metavar="FOLDER", help="write one of the points as a classifier")
    share = "which one, from 0 to 1 (the best on the photographs as they are)"
    add("--share", type=_share, metavar="SHARE", help=f"with --save: {share}")
    return parser


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, found {text}")
    return value
