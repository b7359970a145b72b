"""Find the block after which the base's features fit these photographs best, before any training.

    tljax transferability --data folder:PHOTOS --size 64 --weights base.safetensors

One line per block: LogME, H-score, and CKA with the classes; with --run also CKA between this base
and that of a trained run. Writes transferability.png and transferability.json. Scores are those of
the training photographs, without augmentation.
"""

import argparse
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from tljax.commands import cli, runner
from tljax.data import ImageSets
from tljax.data.preprocess import Preprocess
from tljax.errors import InputError
from tljax.files import disk
from tljax.inside.net import in_batches
from tljax.methods import transferability
from tljax.models import vgg
from tljax.report.pictures.transferability import suggestion, write_transferability
from tljax.report.tables.table import aligned
from tljax.runs.predict import load_net
from tljax.train.setup import width_of
from tljax.train.step import Variables
from tljax.weights import load

BLOCKS = tuple(layer for layer in vgg.LAYERS if layer.endswith("pool"))


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    folder = args.workdir or Path("runs/transferability")
    runner.refuse_finished(args, folder, "transferability.json")
    weights = load(args.weights, progress=not args.quiet)
    net = load_net(args.run, rung=args.rung) if args.run else None
    if net and not isinstance(net.module.base, vgg.VGG16):
        raise InputError(
            f"{args.run}: {net.rung}: expected a rung with a VGG16 base, "
            "found the network from scratch"
        )
    sets = cli.load(args, args.data, size=args.size)
    before = features(vgg.VGG16(width=width_of(weights)), weights.params, weights.preprocess, sets)
    scores = {layer: measured(rows, sets.train.labels) for layer, rows in before.items()}
    if net:
        for layer, rows in features(
            net.module.base, net.params["base"], net.preprocess, sets
        ).items():
            scores[layer][f"CKA with {net.rung}"] = transferability.cka(before[layer], rows)
    _write(args, sets, scores, folder)


def features(
    base: nn.Module, params: Variables, preprocess: Preprocess, sets: ImageSets
) -> dict[str, np.ndarray]:
    """Compute each block's last activation, averaged over places, of each training photograph.

    Keyed by layer, float32 `[N, C]`.
    """

    def program(params: Variables, batch: jax.Array) -> dict[str, jax.Array]:
        out: Any = base.apply({"params": params}, preprocess(batch))[1]  # a VGG16's activations
        return {layer: out[layer].mean((1, 2)) for layer in BLOCKS}

    return in_batches(program, params, sets.train.images)


def measured(rows: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Compute all measures of one block."""
    return {
        "LogME": transferability.logme(rows, labels),
        "H-score": transferability.h_score(rows, labels),
        "CKA with classes": transferability.cka(rows, transferability.one_hot(labels)),
    }


def _write(
    args: argparse.Namespace, sets: ImageSets, scores: dict[str, dict[str, float]], folder: Path
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    advice = suggestion(scores)
    document = {
        "data": {"source": sets.name, "digest": sets.digest},
        "scores": scores,
        "suggestion": advice,
    }
    document["arguments"] = {n: str(v) if isinstance(v, Path) else v for n, v in vars(args).items()}
    disk.write_json(folder / "transferability.json", document)
    picture = write_transferability(sets.name, scores, workdir=folder)
    head = ["after", *next(iter(scores.values()))]
    print(
        aligned(
            head,
            [[layer, *(f"{value:.3f}" for value in row.values())] for layer, row in scores.items()],
        )
    )
    print(f"\n{advice}\n\n{picture}")


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__, experiment="transferability")
    add = parser.add_argument
    add(
        "--weights",
        required=True,
        metavar="FILE",
        help="the pretrained base: a file, or the name of a published one",
    )
    add(
        "--run",
        type=cli.path,
        metavar="DIR",
        help="a trained run whose base is compared with this one",
    )
    add("--rung", help="which of its rungs (the best in validation)")
    return parser
