"""Fine-tune one rung several times and average the networks: a soup costs nothing to predict with.

    tljax soup --run runs/ladder --from frozen --rates 5e-4 1e-3 2e-3 --orders 2

Each seed of the rung is fine-tuned at every rate with every order of the photographs, by the stage
`finetune` of the run's preset and options; with --photometric, each of these a second time with
photometric augmentation. Judged within and without distribution: the uniform soup
(the mean of all), the greedy one (those that help), the ensemble (the mean of their logits, which
runs them all), and the best single one. What is chosen is chosen on one half of the photographs and
judged on the other. Leaves soup.json, soup.png and soup.html in the run's folder; --save writes the
greedy soup of the best seed as a classifier.
"""

import argparse
import time
from dataclasses import replace

import jax
import numpy as np

from tljax import waiting
from tljax.commands import cli
from tljax.commands.generalise import conditions, shifting
from tljax.methods import interpolate, soups
from tljax.methods.judge import Judge, is_right, mean_of
from tljax.report.pages import shifted as page
from tljax.report.pictures.shifted import write_ways
from tljax.report.stats.shifts import Judged
from tljax.report.tables import shifted as table
from tljax.runs.predict import Trained
from tljax.train import setup
from tljax.train.outcome import saved

START, BEST = "start", "best single"
UNIFORM, GREEDY, ENSEMBLE = "uniform soup", "greedy soup", "ensemble"


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    if args.save:
        saved.refuse_other(args.save)
    shifts = shifting.photographs(args)
    shifts.halved()
    starts = shifting.members(args.run, [args.start])[args.start][: args.soups]
    began = time.perf_counter()
    count = len(args.rates) * args.orders * (1 + args.photometric)
    pace = waiting.Pace(count * len(starts))
    pots = [_pot(args, start, pace) for start in starts]
    seconds = (time.perf_counter() - began) / len(pots)
    everyone = [*starts, *(each for pot in pots for each in pot)]
    judge = Judge(everyone)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(pots[0][0].state.params)) / 1e6
    print(f"{len(pots)} soups of {count}, each {seconds:.0f} s to train; {size:.0f} MB a network")
    numbers = [
        list(range(len(starts) + count * s, len(starts) + count * (s + 1)))
        for s in range(len(pots))
    ]
    judged, chosen = _judged(judge, shifts, numbers)
    ways = (UNIFORM, GREEDY, ENSEMBLE)
    pairs = [(way, against) for against in (BEST, START) for way in ways] + [(BEST, START)]
    rates = ", ".join(f"{rate:g}" for rate in args.rates)
    twice = ", as the run augments and photometric" * args.photometric
    about = (
        f"{shifts.about()} {len(pots)} soups of {count}: "
        f"rates {rates}, {args.orders} orders{twice}; {seconds:.0f} s to train one. "
        f"The greedy ones have {', '.join(str(len(each)) for each in chosen)} of them."
    )
    document = {"about": about, **judged.to_dict(pairs)}
    shifting.write(args.run, "soup", document, args)
    title = f"Soups from {args.start}"
    write_ways(document, title=title, path=args.run / "soup.png")
    print(table.text(document))
    if args.save:
        seed = int(np.argmax(judged.seeds(GREEDY, "as they are")))
        print(f"\n{_save(args, everyone, chosen[seed], judge, shifts)}")
    print(f"\n{page.write(document, folder=args.run, name='soup', title=title)}")


def _pot(args: argparse.Namespace, start: Trained, pace: waiting.Pace) -> list[Trained]:
    """Fine-tune one seed of the rung at every rate and in every order."""
    stage, source = shifting.finetuning(args, start)
    orders, pot = range(100 * start.seed, 100 * start.seed + args.orders), []
    for like in soups.augmented(stage) if args.photometric else [stage]:
        ready = setup.prepare(like, start.network, source, seed=start.seed, before=start)
        stages = soups.at_rates(like, args.rates)
        made = soups.ingredients(stages, ready, orders=orders, progress=not args.quiet)
        for _ in range(len(stages) * len(orders)):
            pace.begins()
            each = next(made)
            # Held as numpy arrays: a soup of many must not fill the device.
            pot.append(replace(each, state=jax.device_get(each.state.replace(opt_state=None))))
    return pot


def _judged(
    judge: Judge, shifts: conditions.Shifts, numbers: list[list[int]]
) -> tuple[Judged, list[list[int]]]:
    """Judge all ways on all conditions: (the verdicts, the greedy soup of each seed on all)."""
    split, every = shifts.split, np.arange(len(shifts.split))
    halves = [every[half::2] for half in (0, 1)]
    # What judges a half is chosen on the other one.
    picked = [
        [
            soups.recipes(judge, split.images, split.labels, members=of, places=halves[1 - half])
            for half in (0, 1)
        ]
        for of in numbers
    ]
    chosen = [
        soups.recipes(judge, split.images, split.labels, members=of, places=every)[1]
        for of in numbers
    ]
    means = [mean_of(judge.count, of) for of in numbers]
    pots = [mean_of(judge.count, soup) for picks in picked for _, soup in picks]
    whole = [mean_of(judge.count, soup) for soup in chosen]
    weights = np.concatenate([np.eye(judge.count), means, pots, whole])
    right: dict[str, dict[str, np.ndarray]] = {
        way: {} for way in (START, BEST, UNIFORM, GREEDY, ENSEMBLE)
    }
    seeds = len(numbers)
    for condition, each in shifts:
        logits = judge.logits(each.images, weights)
        hits = is_right(logits, each.labels)
        same = len(each) == len(split)
        singles, rest = hits[: judge.count], hits[judge.count :]
        uniform, mixed, all_of = rest[:seeds], rest[seeds : 3 * seeds], rest[3 * seeds :]
        best = [[singles[single] for single, _ in picks] for picks in picked]
        both = mixed.reshape(seeds, 2, -1)
        ensemble = np.stack([logits[of].mean(0) for of in numbers])
        right[START][condition] = singles[:seeds]
        right[UNIFORM][condition] = uniform
        right[ENSEMBLE][condition] = is_right(ensemble, each.labels)
        right[BEST][condition] = np.stack([_woven(*pair) for pair in best])
        right[GREEDY][condition] = np.stack([_woven(*pair) for pair in both]) if same else all_of
    return Judged(right, shifts.columns), chosen


def _woven(even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """Take the even photographs from one and the odd ones from the other."""
    return np.where(np.arange(len(even)) % 2 == 0, even, odd)


def _save(
    args: argparse.Namespace,
    everyone: list[Trained],
    chosen: list[int],
    judge: Judge,
    shifts: conditions.Shifts,
) -> object:
    weights = mean_of(judge.count, chosen)
    like = everyone[chosen[0]]
    made = interpolate.named(like, everyone, weights.tolist(), rung=f"soup-of-{len(chosen)}")
    logits = judge.logits(shifts.split.images, weights[None])[0]
    return interpolate.scored(made, logits, shifts.split.labels).save(args.save)


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="soup")
    shifting.run_options(parser)
    add = parser.add_argument
    add("--from", dest="start", default="frozen", metavar="RUNG", help="its start (frozen)")
    rates = "peak rates (5e-4 1e-3 2e-3)"
    add(
        "--rates",
        nargs="+",
        type=cli.fraction,
        default=(5e-4, 1e-3, 2e-3),
        metavar="RATE",
        help=rates,
    )
    add("--orders", type=cli.positive, default=2, metavar="N", help="orders of the photographs (2)")
    twice = "fine-tune each a second time with photometric augmentation"
    add("--photometric", action="store_true", help=twice)
    add("--soups", type=cli.positive, metavar="N", help="seeds of the rung, at most (all)")
    add("--epochs", type=cli.positive, metavar="N", help="epochs of each fine-tuning (the run's)")
    add("--save", type=cli.path, metavar="FOLDER", help="write the greedy soup as a classifier")
    return parser
