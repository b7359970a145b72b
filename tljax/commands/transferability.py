"""Find the block after which the base's features fit these photographs best, before any training.

    tljax transferability --data folder:PHOTOS --weights base.safetensors

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

from tljax.commands import cli, options, runner, running
from tljax.data import ImageSets
from tljax.data.preprocess import Preprocess, of_pixels
from tljax.errors import InputError
from tljax.files import disk
from tljax.inside.net import in_batches
from tljax.methods import transferability
from tljax.models.architecture import Architecture
from tljax.models.build import Network, base_of, base_variables, described
from tljax.report.pictures.transferability import suggestion, write_transferability
from tljax.report.tables.table import aligned
from tljax.runs.predict import load_net
from tljax.train.step import Variables
from tljax.weights import load


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    folder = args.workdir or Path("runs/transferability")
    runner.refuse_finished(args, folder, "transferability.json")
    weights = load(args.weights, progress=not args.quiet)
    net = load_net(args.run, rung=args.rung) if args.run else None
    network = Network(*described(weights.architecture))
    if net and net.architecture.name != network.base:
        raise InputError(
            f"{args.run}: {net.rung}: expected a rung with the base {network.base}, "
            f"found {net.architecture.name}"
        )
    layers = last_of_groups(network.architecture)
    args.size = args.size or options.size_for(args.data, weights)
    sets = running.load(args, args.data, size=args.size)
    running.classes_only(sets, "transferability")
    base = base_of(network)
    before = features(
        base,
        weights.variables,
        of_pixels(weights.preprocess, where=str(args.weights)),
        sets,
        layers=layers,
    )
    scores = {layer: measured(rows, sets.train.labels) for layer, rows in before.items()}
    if net:
        after = base_variables({"params": net.params, **net.statistics})
        for layer, rows in features(
            net.module.base,
            after,
            of_pixels(net.preprocess, where=str(args.run)),
            sets,
            layers=layers,
        ).items():
            scores[layer][f"CKA with {net.rung}"] = transferability.cka(before[layer], rows)
    _write(args, sets, scores, folder)


def last_of_groups(architecture: Architecture) -> tuple[str, ...]:
    """Name the last cut of each group of layers: VGG16's poolings."""
    return tuple({cut.group: cut.name for cut in architecture.cuts}.values())


def features(
    base: nn.Module,
    variables: Variables,
    preprocess: Preprocess,
    sets: ImageSets,
    *,
    layers: tuple[str, ...],
) -> dict[str, np.ndarray]:
    """Compute activations of layers, averaged over places, of each training photograph.

    Keyed by layer, float32 `[N, C]`.
    """

    def program(variables: Variables, batch: jax.Array) -> dict[str, jax.Array]:
        out: Any = base.apply(variables, preprocess(batch))[1]  # a base's activations
        return {layer: out[layer].mean(tuple(range(1, out[layer].ndim - 1))) for layer in layers}

    found = in_batches(program, variables, sets.train.images)
    return {layer: found[layer] for layer in layers}  # a compiled program sorts its names


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
    parser = cli.parser(__doc__, experiment="transferability", size=None)
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
