"""Train little of the base: low-rank updates of its last groups (LoRA), or their biases alone.

    tljax low-rank --run runs/ladder --from frozen --ranks 1 4 16

Every way goes on from the same rung, in as many steps at the same rate, and trains the head too;
"whole" is the rung finetune, the others change the layers that it trains. Judged within and without
distribution, with the parameters that train and the bytes that a saved difference takes, head
included. The trained networks are plain ones, as fast as before: --save writes that of the first of
the ranks, of the seed that validation prefers, for `tljax predict --run FOLDER`; --save-difference
what it differs in from the run's pretrained base, for `tljax predict --run FILE --weights BASE`.
Leaves low_rank.json, low_rank.png and low_rank.html in the run's folder.
"""

import argparse
from dataclasses import replace

import jax
import numpy as np

from tljax import waiting
from tljax.commands import cli
from tljax.commands.generalise import shifting
from tljax.errors import InputError
from tljax.methods.judge import Judge
from tljax.optim import low_rank
from tljax.report.pages import shifted as page
from tljax.report.pictures.shifted import write_ways
from tljax.report.stats.shifts import PLAIN
from tljax.report.tables import shifted as table
from tljax.runs.base import load_base
from tljax.runs.difference import save_difference
from tljax.runs.predict import Trained
from tljax.runs.results import read_json
from tljax.train import rung, setup
from tljax.train.outcome import saved
from tljax.tree import flatten
from tljax.weights import Weights

START, WHOLE, BIASES = "start", "whole", "biases"


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    if args.save:
        saved.refuse_other(args.save)
    base = _base(args) if args.save_difference else None
    shifts = shifting.photographs(args)
    starts = shifting.members(args.run, [args.start])[args.start][: args.seeds]
    trained: dict[str, list[Trained]] = {}
    pace = waiting.Pace(len(starts) * (2 + len(args.ranks)))
    for start in starts:
        for name, made in _ways(args, start, pace).items():
            trained.setdefault(name, []).append(made)
    everyone = [*starts, *(each for made in trained.values() for each in made)]
    weights = np.eye(len(everyone)).reshape(-1, len(starts), len(everyone))
    ways = dict(zip((START, *trained), weights, strict=True))
    judged = shifting.judged(Judge(everyone), shifts, ways)
    pairs = [(name, WHOLE) for name in (START, *trained) if name != WHOLE]
    sizes = "; ".join(f"{name} {_size(made[0], starts[0])}" for name, made in trained.items())
    document = {"about": f"{shifts.about()} Trained: {sizes}.", **judged.to_dict(pairs)}
    shifting.write(args.run, "low_rank", document, args)
    title = f"Small changes, from {args.start}"
    write_ways(document, title=title, path=args.run / "low_rank.png")
    print(f"{sizes}\n\n{table.text(document)}")
    if args.save or base:
        name = _named(args.ranks[0])
        best = trained[name][int(np.argmax(judged.seeds(name, PLAIN)))]
        if args.save:
            print(f"\n{best.save(args.save)}")
        if base:
            path = save_difference(best, args.save_difference, base)
            print(f"\n{path}: {path.stat().st_size:,} bytes beside {base.source}")
    print(f"\n{page.write(document, folder=args.run, name='low_rank', title=title)}")


def _base(args: argparse.Namespace) -> Weights:
    """Load the pretrained base that a run began with; InputError for another one."""
    where = args.run / "config.json"
    begun = read_json(where)
    name = args.weights or begun["arguments"].get("weights")
    if name is None:
        raise InputError(f"{where}: expected a run from a pretrained base; --weights names it")
    base = load_base(name, progress=not args.quiet)
    if base.digest != begun["base"]:
        raise InputError(
            f"{name}: expected the base that {args.run} began with, {str(begun['base'])[:12]}, "
            f"found {base.digest[:12]}"
        )
    return base


def _size(made: Trained, start: Trained) -> str:
    """Say what a saved difference takes: parameters, and batch statistics that moved with them."""
    before = flatten(start.state.model_state)
    statistics = sum(
        leaf.nbytes
        for path, leaf in flatten(made.state.model_state).items()
        if not np.array_equal(leaf, before[path])
    )
    size = 4 * made.trainable_params + statistics
    return f"{made.trainable_params:,} parameters, {size / 1e6:.2f} MB"


def _ways(args: argparse.Namespace, start: Trained, pace: waiting.Pace) -> dict[str, Trained]:
    """Train one seed of the rung in every way."""
    stage, source = shifting.finetuning(args, start)
    ways = {WHOLE: stage, BIASES: replace(stage, rules=low_rank.biases(stage.rules))}
    for rank in args.ranks:
        rules = low_rank.updates(stage.rules, rank)
        ways[_named(rank)] = replace(stage, name=f"rank-{rank}", rules=rules)
    made: dict[str, Trained] = {}
    for name, each in ways.items():
        pace.begins()
        ready = setup.prepare(each, start.network, source, seed=start.seed, before=start)
        done = rung.run(each, ready, seed=start.seed, progress=not args.quiet)
        # Held as numpy arrays: many networks must not fill the device.
        made[name] = replace(done, state=jax.device_get(done.state.replace(opt_state=None)))
    return made


def _named(rank: int) -> str:
    return f"rank {rank}"


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="low_rank")
    shifting.run_options(parser)
    add = parser.add_argument
    add("--from", dest="start", default="frozen", metavar="RUNG", help="its start (frozen)")
    ranks = "ranks of the updates (4)"
    add("--ranks", nargs="+", type=cli.positive, default=[4], metavar="R", help=ranks)
    add("--seeds", type=cli.positive, metavar="N", help="seeds of the rung, at most (all)")
    add("--epochs", type=cli.positive, metavar="N", help="epochs of each (the run's)")
    add("--save", type=cli.path, metavar="FOLDER", help="write the network of the first rank")
    small = "write what that network differs in from the base, a small file of safetensors"
    add("--save-difference", type=cli.path, metavar="FILE", help=small)
    add("--weights", metavar="BASE", help="the run's base, where it is elsewhere now (the run's)")
    return parser
