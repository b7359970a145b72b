"""Solve for a head on features of all layers of a frozen base, against one on the last alone.

    tljax head2toe --data folder:PHOTOS --weights efficientnet-lite0
    tljax head2toe --data folder:PHOTOS --weights efficientnet-lite0 --draw 50 --seeds 5
    tljax head2toe --data folder:PHOTOS --weights efficientnet-lite0 --run runs/finetune

"last layer" is the rung linear; "all layers" is a logistic regression on the averaged activations
of every layer; "head2toe" selects among those by a group lasso (Evci et al. 2022). All are solved,
their choices made on folds of the training examples. With --draw each seed draws training examples
of its own; without it a seed decides the folds alone. --run adds the rungs of a finished run on the
same photographs. Leaves head2toe.json, head2toe.png, kept.png and head2toe.html in the workdir.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from tljax.commands import cli, options, runner, running
from tljax.commands.generalise import conditions, shifted, shifting
from tljax.commands.text import read as texts
from tljax.data import ImageSets
from tljax.data.examples import Part, Sets
from tljax.errors import InputError
from tljax.methods.pooled import PER_LAYER
from tljax.methods.probes import ALL, LAST, SELECTED, Probe, Probes
from tljax.report.pages import shifted as page
from tljax.report.pages.sections import html_table, picture, small_print
from tljax.report.pictures.kept import write_kept
from tljax.report.pictures.shifted import write_ways
from tljax.report.stats.shifts import PLAIN, Judged
from tljax.report.tables import shifted as table
from tljax.report.tables.table import aligned
from tljax.runs.results import read_results
from tljax.tasks.text import TEXT
from tljax.train.source import Source
from tljax.weights import known

TITLE = "A head on all layers"
HEAD = ("", "features", "parameters", "seconds a seed")
Right = Mapping[str, Mapping[str, np.ndarray]]  # way -> condition -> bool [S, N]


def main() -> None:
    """Run the command."""
    args = options.parsed(_parser())
    folder = args.workdir or Path("runs/head2toe")
    runner.refuse_finished(args, folder, "head2toe.json")
    weights, words = options.base_of(args), args.task == TEXT.name
    if weights is None:
        names = ", ".join(known.FILES)
        raise InputError(f"--weights: expected a pretrained base: {names}, or a file")
    sets = texts.load(args, weights) if words else running.load(args, args.data, size=args.size)
    running.classes_only(sets, "head2toe")
    shifts = conditions.Shifts(args, sets, args) if isinstance(sets, ImageSets) else _Texts(sets)
    print(sets.counts(), flush=True)
    theirs = _of_run(args, sets, shifts)
    source = Source(sets, weights, dtype=jnp.dtype(args.dtype), progress=not args.quiet)
    norm = options.network_of("linear", args).feature_norm
    probes = Probes(source, norm=norm, most=args.per_layer)
    heads = [probes.solved(seed=seed, draw=args.draw) for seed in options.seeds_of(args)]
    right = _beside(probes.right(heads, shifts), theirs)
    pairs = [(ALL, LAST), (SELECTED, LAST), (SELECTED, ALL), *((SELECTED, way) for way in theirs)]
    widths = probes.pooled.widths
    kept = [_by_layer(each[SELECTED].places, widths) for each in heads]
    document = {
        "about": f"{_trained(args, sets)} {shifts.about()}",
        **Judged(right, shifts.columns).to_dict(pairs),
        "features_seconds": probes.seconds,
        "heads": {way: [each[way].to_dict() for each in heads] for way in heads[0]},
        "layers": widths,
        "kept": kept,
    }
    folder.mkdir(parents=True, exist_ok=True)
    shifting.write(folder, "head2toe", document, args)
    write_ways(document, title=TITLE, path=folder / "head2toe.png")
    drawn = write_kept(kept, widths, path=folder / "kept.png")
    costs = [_cost(way, [each[way] for each in heads]) for way in heads[0]]
    print(f"\n{table.text(document)}\n\n{aligned(HEAD, costs)}")
    cost = f"Features of the training examples: {probes.seconds:.0f} s."
    print(cost)
    more = [
        "<h2>What each head costs</h2>",
        html_table(HEAD, costs),
        small_print(cost),
        picture(drawn, alt="Features kept of each layer"),
    ]
    written = page.write(document, folder=folder, name="head2toe", title=TITLE, more=more)
    print(f"\n{written}")


class _Texts:
    """Held-out texts, which no corruption shifts."""

    def __init__(self, sets: Sets) -> None:
        self._part, self.columns = sets.test or sets.validation, {PLAIN: [PLAIN]}

    def __iter__(self) -> Iterator[tuple[str, Part]]:
        yield PLAIN, self._part

    def about(self) -> str:
        return f"{len(self._part):,} held-out texts."


def _of_run(args: argparse.Namespace, sets: Sets, shifts: conditions.Shifts | _Texts) -> Right:
    """Judge the rungs of --run; nothing without it, InputError where it is of other photographs."""
    if args.run is None:
        return {}
    if args.draw or not isinstance(shifts, conditions.Shifts):
        raise InputError("--run: expected photographs, and all of them: no --draw")
    results = read_results(args.run / "results.json")
    data = results["data"]
    if data.get("digest") != sets.digest:
        raise InputError(
            f"{args.run}: expected a run on {sets.name} at size {sets.size}, "
            f"found {data.get('source')} at size {data.get('size')}, or other photographs"
        )
    rungs = shifting.trained(args.run)
    seeds = len(next(iter(rungs.values())))
    if args.seeds not in (1, seeds):
        expected = f"1 or {seeds}, as many as --run has"
        raise InputError(f"--seeds: expected {expected}, found {args.seeds}")
    return shifted.right_of(args.run, list(rungs), shifts)


def _beside(ours: Right, theirs: Right) -> Right:
    """Join with the rungs of a run; heads of one seed stand beside each of the run's."""
    if not theirs:
        return ours
    own, seeds = (len(next(iter(right.values()))[PLAIN]) for right in (ours, theirs))
    repeated = {
        way: {name: np.repeat(right, seeds // own, axis=0) for name, right in conditions.items()}
        for way, conditions in ours.items()
    }
    return {**repeated, **theirs}


def _by_layer(places: np.ndarray, widths: Mapping[str, int]) -> dict[str, int]:
    """Count the places that lie in each layer."""
    layer = np.searchsorted(np.cumsum(list(widths.values())), places, "right")
    counts = np.bincount(layer, minlength=len(widths))
    return dict(zip(widths, counts.tolist(), strict=True))


def _trained(args: argparse.Namespace, sets: Sets) -> str:
    count = args.draw or len(sets.train.labels)
    how = f", drawn anew for each of {args.seeds} seeds" if args.draw and args.seeds > 1 else ""
    return f"Solved on {count:,} training examples{how}."


def _cost(way: str, heads: Sequence[Probe]) -> list[str]:
    counts = (len(heads[0].places), heads[0].parameters)
    if any(len(head.places) != counts[0] for head in heads):
        counts = np.mean([(len(head.places), head.parameters) for head in heads], axis=0)
    seconds = np.mean([head.seconds for head in heads])
    return [way, *(f"{count:,.0f}" for count in counts), f"{seconds:.1f}"]


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, experiment="head2toe", rates=False)
    conditions.options(parser)
    add = cli.group(parser, cli.ON).add_argument
    draw = "train on N training examples alone, drawn anew for each seed (all)"
    add("--draw", type=cli.positive, metavar="N", help=draw)
    beside = "a finished run on the same photographs, whose rungs are judged beside the heads"
    add("--run", type=cli.path, metavar="DIR", help=beside)
    layer = "features of a layer of few channels: a map is averaged in several cells, to at most N"
    add(
        "--per-layer",
        type=cli.positive,
        default=PER_LAYER,
        metavar="N",
        help=f"{layer} ({PER_LAYER})",
    )
    return parser
