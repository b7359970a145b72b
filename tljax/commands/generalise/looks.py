"""Judge a rung by several views of each photograph, against one plain look: is it more than noise?

    tljax looks --run runs/ladder --rung frozen --views 4 8

The logits are the mean over K augmented views, as `tljax predict --views K` has them, the same ones
each time; "mirrored" is the mean of the photograph and its mirror image. Judged on the photographs
as they are and shifted, over the run's seeds, paired with the plain look. Leaves looks.json,
looks.png and looks.html in the run's folder.
"""

import argparse
from collections.abc import Callable

import jax
import numpy as np

from tljax.commands import cli
from tljax.commands.generalise import shifting
from tljax.methods.judge import BATCH, is_right
from tljax.models import ops
from tljax.report.pages import shifted as page
from tljax.report.pictures.shifted import write_ways
from tljax.report.stats.shifts import Judged
from tljax.report.tables import paired
from tljax.report.tables import shifted as table
from tljax.runs.predict import Trained
from tljax.runs.results import read_results
from tljax.train.outcome.viewed import mean_over_views, ranges_of

PLAIN, MIRRORED = "plain", "mirrored"
Looks = dict[str, Callable[[np.ndarray], jax.Array]]  # images uint8 [B, S, S, 3] -> logits


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    shifts = shifting.photographs(args)
    results = read_results(args.run / "results.json")
    rung = args.rung or paired.best_rung(results, shifting.trained(args.run))
    looks = [_looks(member, args.views) for member in shifting.members(args.run, [rung])[rung]]
    right: dict[str, dict[str, np.ndarray]] = {way: {} for way in looks[0]}
    for condition, split in shifts:
        for way in right:
            logits = np.stack([_logits(each[way], split.images) for each in looks])
            right[way][condition] = is_right(logits, split.labels)
    pairs = [(way, PLAIN) for way in right if way != PLAIN]
    document = {
        "about": f"{rung}. {shifts.about()}",
        **Judged(right, shifts.columns).to_dict(pairs),
    }
    shifting.write(args.run, "looks", document, args)
    title = f"Several views of each photograph, {rung}"
    write_ways(document, title=title, path=args.run / "looks.png")
    print(table.text(document))
    print(f"\n{page.write(document, folder=args.run, name='looks', title=title)}")


def _looks(member: Trained, counts: list[int]) -> Looks:
    """Make each way to look at a batch, for one classifier."""
    net = member.net
    program = ops.jit(lambda params, images: net.run(images, params)[0])

    def plain(images: np.ndarray) -> jax.Array:
        return program(net.params, images)

    def mirrored(images: np.ndarray) -> jax.Array:
        return (plain(images) + plain(np.ascontiguousarray(images[:, :, ::-1]))) / 2

    ranges = ranges_of(member.stage)
    views = {f"{k} views": mean_over_views(net, ranges, views=k) for k in counts}
    return {PLAIN: plain, MIRRORED: mirrored, **views}


def _logits(look: Callable[[np.ndarray], jax.Array], images: np.ndarray) -> np.ndarray:
    """Look at images a batch at a time, the last one padded with the last image."""
    starts = range(0, len(images), BATCH)
    rows = [np.minimum(np.arange(first, first + BATCH), len(images) - 1) for first in starts]
    return np.concatenate([np.asarray(look(images[batch])) for batch in rows])[: len(images)]


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="looks")
    shifting.run_options(parser)
    add = parser.add_argument
    add("--rung", help="which of its rungs (the best in validation)")
    views = "how many views, one number or several (8)"
    add("--views", nargs="+", type=cli.positive, default=[8], metavar="K", help=views)
    return parser
