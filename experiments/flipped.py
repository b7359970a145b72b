"""Flip some training labels on purpose: are they found, and what does cleaning buy?

    python -m experiments.flipped --data folder:PHOTOS --weights efficientnet-lite0 --flips 5

Each draw flips 5 % of the training labels. Suspects are found out of fold, as cross-validate and
suspects do, and by the common mistake, on probabilities of a head that has trained on the labels
that it judges. Then a linear head is solved on the labels as flipped, without the
suspects, with their suggested labels, and on the true ones, and judged on the validation
photographs, paired. The answer is in docs/howto/generalise.md.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from tljax.commands import cli, options, runner, running
from tljax.config import Stage
from tljax.errors import InputError
from tljax.files import disk
from tljax.linear.logistic import fit_logistic
from tljax.methods import suspects
from tljax.models.heads import rms_norm
from tljax.report.stats import intervals
from tljax.report.stats.shifts import PLAIN, Judged
from tljax.report.tables import shifted as table
from tljax.runs.predictions import softmax
from tljax.sweep import folds
from tljax.tasks.classification import predicted_classes, two_sided
from tljax.train import setup
from tljax.train.ready import Ready

FLIPPED, DELETED, RELABELLED, TRUE = "flipped", "suspects deleted", "relabelled", "true labels"


def main() -> None:
    """Run the command."""
    args = options.parsed(_parser())
    folder = args.workdir or Path("runs/flipped")
    runner.refuse_finished(args, folder, "flipped.json")
    stages = {
        "features": (options.network_of("features", args), options.stage_of("features", args))
    }
    with runner.begin(args, stages, experiment="flipped") as (workdir, source, stages):
        network, stage = stages["features"]
        ready = setup.prepare(stage, network, source, seed=args.seed)
        if ready.inputs.start != "head":
            raise InputError("suspects: expected saved features of the whole base")
        found = [_one(stage, ready, args, draw) for draw in range(args.flips)]
        right = {
            name: {PLAIN: np.stack([each[1][name] for each in found])}
            for name in (FLIPPED, DELETED, RELABELLED, TRUE)
        }
        judged = Judged(right, {PLAIN: [PLAIN]})
        pairs = [(name, FLIPPED) for name in (DELETED, RELABELLED, TRUE)]
        measures = {name: [each[0][name] for each in found] for name in found[0][0]}
        document = {"measures": measures, **judged.to_dict(pairs)}
        disk.write_json(workdir.path / "flipped.json", document)
        for name, values in measures.items():
            interval = intervals.t_interval(values)
            ends = f" [{interval.low:.3f}, {interval.high:.3f}]" if interval else ""
            print(f"{name}: {np.mean(values):.3f}{ends} over {len(values)} draws")
        print(f"\n{table.text(document)}")


def _one(
    stage: Stage, ready: Ready, args: argparse.Namespace, draw: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Flip labels by one draw: (measures, which validation photographs each head gets right)."""
    inputs, classes = ready.inputs, len(ready.inputs.classes)
    true = inputs.train.labels
    rng = np.random.default_rng([draw, 0xF11])
    count = max(1, round(args.share * len(true)))
    wrong = np.zeros(len(true), bool)
    wrong[rng.choice(len(true), count, replace=False)] = True
    labels = np.where(wrong, (true + rng.integers(1, classes, len(true))) % classes, true)
    labels = labels.astype(np.int32)
    flipped = replace(ready, inputs=replace(inputs, train=replace(inputs.train, labels=labels)))
    judged = folds.cross_validate(stage, flipped, k=args.folds, seeds=[draw])
    ours = suspects.suspects(softmax(two_sided(judged.logits[0].astype(np.float64))), labels)
    rows, held = (_features(ready, part.inputs) for part in (inputs.train, inputs.validation))
    seen = softmax(two_sided(_logits(rows, rows, labels, classes).astype(np.float64)))
    mistaken = suspects.suspects(seen, labels)
    kept = np.setdiff1d(np.arange(len(labels)), ours.places)
    relabelled = labels.copy()
    relabelled[ours.places] = ours.suggested
    heads = {
        FLIPPED: _logits(rows, held, labels, classes),
        DELETED: _logits(rows[kept], held, labels[kept], classes),
        RELABELLED: _logits(rows, held, relabelled, classes),
        TRUE: _logits(rows, held, true, classes),
    }
    truth = inputs.validation.labels
    measures = {
        "flipped": float(count),
        "suspects": float(len(ours.places)),
        "precision at k, out of fold": suspects.precision_at(ours.places, wrong, k=count),
        "recall of all suspects": float(wrong[ours.places].sum() / count),
        "precision at k, on seen labels": suspects.precision_at(mistaken.places, wrong, k=count),
    }
    return measures, {name: predicted_classes(z) == truth for name, z in heads.items()}


def _features(ready: Ready, inputs: np.ndarray) -> np.ndarray:
    rows = np.asarray(inputs, np.float32).reshape(len(inputs), -1)
    return np.asarray(rms_norm(jnp.asarray(rows))) if ready.described().feature_norm else rows


def _logits(rows: np.ndarray, held: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    kernel, bias, _ = fit_logistic(rows, labels, classes=classes)
    return held @ kernel + bias


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, experiment="flipped")
    add = parser.add_argument
    add("--flips", type=cli.positive, default=5, metavar="N", help="how many draws (5)")
    add("--share", type=cli.fraction, default=0.05, help="of labels to flip (0.05)")
    add("--folds", type=cli.positive, default=10, metavar="K", help="of the cross-validation (10)")
    return parser


if __name__ == "__main__":
    running.run(main)
