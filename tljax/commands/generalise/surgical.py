"""Train each group of layers alone, early to late, and all at rates by their gradients.

    tljax surgical --run runs/ladder --from frozen --groups block1 block3 block5

Every way goes on from the same rung, with as many steps at the same rate, and trains the head with
it. "auto-rgn" trains all groups, each at a rate in proportion to its gradient's norm over its own.
Judged within and without distribution, beside what `tljax transferability` measures after each
group on the training photographs, before any of this training: does what that suggests hold? Early
groups cost most: the gradient goes back to them. Leaves surgical.json, surgical.png and
surgical.html in the run's folder.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import jax
import numpy as np

from tljax import waiting
from tljax.commands import cli, running, transferability
from tljax.commands.generalise import shifting
from tljax.commands.inside import evenly
from tljax.data.preprocess import of_pixels
from tljax.errors import InputError
from tljax.methods import surgical
from tljax.methods.judge import Judge
from tljax.models.build import base_variables
from tljax.report.pages import shifted as page
from tljax.report.pages.sections import html_table, small_print
from tljax.report.pictures.shifted import write_ways
from tljax.report.tables import shifted as table
from tljax.report.tables.table import aligned, percent
from tljax.runs.predict import Trained
from tljax.train import rung, setup

BESIDE = "Beside what transferability measures"
MEASURES = (
    "LogME, H-score and CKA with the classes, of the features after the group's last layer on the "
    "training photographs, before this training; of the first seed."
)
START, AUTO, MEASURED = "start", "auto-rgn", 128  # photographs that gradients are measured on


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    shifts = shifting.photographs(args)
    starts = shifting.members(args.run, [args.start])[args.start][: args.seeds]
    every = starts[0].network.architecture.groups
    chosen = args.groups or [*every, AUTO]
    for name in chosen:
        if name not in (*every, AUTO):
            known = ", ".join((*every, AUTO))
            raise InputError(f"--groups: expected some of {known}; found {name}")
    fits = _fits(args, starts[0], chosen)
    trained: dict[str, list[Trained]] = {name: [] for name in chosen}
    notes: list[str] = []
    pace = waiting.Pace(len(starts) * len(chosen))
    for start in starts:
        for name in chosen:
            began = time.perf_counter()
            pace.begins()
            trained[name].append(_trained(args, start, name))
            seconds = time.perf_counter() - began
            if not args.quiet:
                waiting.say(f"{name}, seed {start.seed}: {waiting.duration(seconds)}")
            notes += [f"{name} {waiting.duration(seconds)}"] * (start is starts[0])
    everyone = [*starts, *(each for name in chosen for each in trained[name])]
    seeds = len(starts)
    weights = np.eye(len(everyone)).reshape(-1, seeds, len(everyone))
    ways = dict(zip((START, *chosen), weights, strict=True))
    judged = shifting.judged(Judge(everyone), shifts, ways)
    about = f"{shifts.about()} Training one seed took: {', '.join(notes)}."
    document = {"about": about, **judged.to_dict([(name, START) for name in chosen])}
    document["transferability"] = fits
    shifting.write(args.run, "surgical", document, args)
    title = f"Each group of layers alone, from {args.start}"
    write_ways(document, title=title, path=args.run / "surgical.png")
    print(table.text(document))
    head, rows = _beside(document)
    more = []
    if rows:
        print(f"\n{aligned(head, rows)}")
        more = [f"<h2>{BESIDE}</h2>", html_table(head, rows), small_print(MEASURES)]
    written = page.write(document, folder=args.run, name="surgical", title=title, more=more)
    print(f"\n{written}")


def _fits(
    args: argparse.Namespace, start: Trained, chosen: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Measure how well the start's features after each group fit the training photographs."""
    sets = running.photographs_only(shifting.finetuning(args, start)[1].sets, "surgical")
    cuts = start.network.architecture.cuts
    last = {cut.group: cut.name for cut in cuts if cut.group in chosen}
    if not last:
        return {}
    net = start.net
    base = base_variables({"params": net.params, **net.statistics})
    pixels, layers = of_pixels(net.preprocess, where=str(args.run)), tuple(last.values())
    rows = transferability.features(net.module.base, base, pixels, sets, layers=layers)
    labels = sets.train.labels
    return {group: transferability.measured(rows[cut], labels) for group, cut in last.items()}


def _beside(document: Mapping) -> tuple[list[str], list[list[str]]]:
    """Tabulate each group's accuracy beside the measures of its last layer."""
    fits, ways = document["transferability"], document["ways"]
    rows = []
    for group, measures in fits.items():
        columns = ways[group]["columns"].values()
        accuracies = [percent(column["accuracy"]) for column in columns]
        rows.append([group, *accuracies, *(f"{value:.3f}" for value in measures.values())])
    measures = next(iter(fits.values()), {})
    return ["trained alone", *document["images"], *measures], rows


def _trained(args: argparse.Namespace, start: Trained, name: str) -> Trained:
    stage, source = shifting.finetuning(args, start)
    if name == AUTO:
        sets = running.photographs_only(source.sets, "surgical")
        stage = surgical.auto(stage, start, evenly(sets.train, count=MEASURED))
    else:
        stage = surgical.alone(stage, start.network.architecture, name)
    ready = setup.prepare(stage, start.network, source, seed=start.seed, before=start)
    made = rung.run(stage, ready, seed=start.seed, progress=not args.quiet)
    return replace(made, state=jax.device_get(made.state.replace(opt_state=None)))


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="surgical")
    shifting.run_options(parser)
    add = parser.add_argument
    add("--from", dest="start", default="frozen", metavar="RUNG", help="its start (frozen)")
    groups = f"groups of the base's layers, and {AUTO} (all)"
    add("--groups", nargs="+", metavar="GROUP", help=groups)
    add("--seeds", type=cli.positive, metavar="N", help="seeds of the rung, at most (all)")
    add("--epochs", type=cli.positive, metavar="N", help="epochs of each (the run's)")
    return parser
