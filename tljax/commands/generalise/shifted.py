"""Judge the rungs of a run on shifted photographs: corrupted ones, and those of a second source.

    tljax shifted --run runs/ladder
    tljax shifted --run runs/ladder --kinds all --severities 1 2 3 4 5 --shifted folder:OTHERS
    tljax shifted --run runs/photometric --against runs/plain

The photographs are those the run was judged on, its test split where it has one. Kinds and
severities are those of ImageNet-C, made on the device; the page of the run gets a part with the
result, and shifted.json has it; one that is there, also from --shifted when the run was trained, is
replaced with --overwrite. Layers that all rungs share run once for all of them. With --against the
rungs are compared with those of the same name of another run on the same photographs, paired, over
the seeds that both have.
"""

import argparse
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from tljax import report
from tljax.commands import cli
from tljax.commands.generalise import conditions, shifting
from tljax.data import ImageSets
from tljax.data.examples import Sets
from tljax.errors import InputError
from tljax.machine import processes
from tljax.methods.judge import Judge
from tljax.report.pages import shifted as page
from tljax.report.pages.runs import read_runs
from tljax.report.pictures.shifted import write_ways
from tljax.report.stats.shifts import Judged
from tljax.report.tables import shifted as table
from tljax.runs.results import by_rung, read_results
from tljax.tasks.classification import CLASSIFICATION


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    said = judge(args)
    print(said)
    print(f"\n{report.write_report(args.run)[-1]}")


def judge(args: argparse.Namespace) -> str:
    """Judge the rungs of a run; write the document and its picture, and return the table."""
    rungs = args.rungs or list(shifting.trained(args.run))
    others = _others(args.run, args.against, rungs) if args.against else {}
    runs = {args.run: {rung: rung for rung in rungs}} | ({args.against: others} if others else {})
    seeds = set[int].intersection(*(shifting.seeds(run, names) for run, names in runs.items()))
    if not seeds:
        raise InputError(f"{args.against}: expected a seed of {args.run}, found none of them")
    shifts = shifting.photographs(args)
    right: dict[str, Mapping[str, np.ndarray]] = {}
    for run, names in runs.items():
        found = right_of(run, list(names), shifts, seeds)
        right |= {name: found[rung] for rung, name in names.items()}
    pairs = [*zip(rungs[1:], rungs, strict=False), *others.items()]
    judged = Judged(right, shifts.columns)
    document = {"about": shifts.about(), **judged.to_dict(pairs)}
    shifting.write(args.run, "shifted", document, args)
    write_ways(document, title="Accuracy, as they are and shifted", path=args.run / page.PICTURE)
    return table.text(document)


def _others(run: Path, against: Path, rungs: Sequence[str]) -> dict[str, str]:
    """Name the rungs of another run to compare with: rung -> its name beside this run's.

    InputError where it is of other photographs or has none of the rungs.
    """
    read_runs([run, against])
    theirs = by_rung(read_results(against / "results.json"))
    shared = [rung for rung in rungs if rung in theirs]
    if not shared:
        raise InputError(f"{against}: expected one of the rungs {', '.join(rungs)}, found none")
    return {rung: f"{rung} of {against.name}" for rung in shared}


def right_of(
    run: Path,
    rungs: Sequence[str],
    shifts: conditions.Shifts,
    among: Collection[int] | None = None,
) -> dict[str, Mapping[str, np.ndarray]]:
    """Tell which photographs rungs of a run get right: rung -> condition -> bool `[S, N]`.

    `among` are the seeds, by default those that the rungs have in common.
    """
    loaded = shifting.members(run, rungs, among)
    right: dict[str, Mapping[str, np.ndarray]] = {}
    for group in _of_one_network(loaded):
        everyone = [member for rung in group for member in loaded[rung]]
        weights = np.eye(len(everyone)).reshape(len(group), len(loaded[group[0]]), -1)
        ways = dict(zip(group, weights, strict=True))
        right |= shifting.judged(Judge(everyone), shifts, ways).right
    return {rung: right[rung] for rung in rungs}


def after(args: argparse.Namespace, run: Path) -> str:
    """Judge a run that has just been trained, as its option --shifted says; "" without it."""
    if args.shifted is None or not processes.first():
        return ""
    return judge(_as_alone(args, run))


def check(args: argparse.Namespace, sets: Sets) -> None:
    """Refuse an option --shifted of a run that cannot be judged so, before anything trains."""
    if getattr(args, "shifted", None) is None:
        return
    if sets.task != CLASSIFICATION or not isinstance(sets, ImageSets):
        found = f"{sets.name}, for {sets.task.name}"
        raise InputError(f"--shifted: expected classes of photographs, found {found}")
    conditions.Shifts(_as_alone(args, Path()), sets, args)


def _as_alone(args: argparse.Namespace, run: Path) -> argparse.Namespace:
    """Make the arguments of this command from those of one that has just written the run."""
    words = [
        "--run",
        str(run),
        "--overwrite",
        *(["--shifted", args.shifted] if args.shifted else []),
    ]
    return _parser().parse_args([*words, *(["--quiet"] if args.quiet else [])])


def _of_one_network(loaded: dict[str, list]) -> list[list[str]]:
    """Group rungs by network and preprocessing: each group shares its first layers."""
    groups: dict[str, list[str]] = {}
    for rung, members in loaded.items():
        groups.setdefault(repr((members[0].network, members[0].preprocess)), []).append(rung)
    return list(groups.values())


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="shifted")
    shifting.run_options(parser)
    add = parser.add_argument
    add("--rungs", nargs="+", metavar="RUNG", help="which of its rungs (all)")
    against = "compare with the rungs of another run on the same photographs, paired"
    add("--against", type=cli.path, metavar="DIR", help=against)
    return parser
