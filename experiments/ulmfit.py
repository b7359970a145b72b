"""Measure ULMFiT's procedure, and what each part of it is worth, by the number of labels.

    python -m experiments.ulmfit --data trec.csv --text text:RUNNING --labels 100 1000 all --seeds 3

A language model learns running text, then the texts of the training split without their labels;
then a classifier learns labels by gradual unfreezing, with rates that fall by 2.6 a layer and a
slanted triangle in each stage (Howard and Ruder 2018, arXiv 1801.06146). Each part is left out in
turn. It is their procedure and not their network: a causal transformer of four blocks. Prints
perplexities and the test accuracy of each, with its difference from the whole, paired by seed, and
writes ulmfit.json after each training; the same command goes on from there.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from tljax import config, recipe
from tljax.commands import cli
from tljax.commands import running as running_command
from tljax.config import Plan, Stage, pretraining, sizes
from tljax.data.augment import Augmentation
from tljax.data.text import load, running
from tljax.data.text.augment import TokenDropout
from tljax.data.text.sets import TextSets, few
from tljax.data.text.vocabulary import Vocabulary
from tljax.errors import InputError
from tljax.files import disk
from tljax.models.build import Network
from tljax.optim.schedules import WarmupLinear
from tljax.optim.transform import Optimizer
from tljax.report.stats.intervals import t_interval
from tljax.train import plan as plans
from tljax.train.pretrain import pretrain
from tljax.train.source import Source
from tljax.tree import Json
from tljax.weights import Weights, read

RATE, FACTOR = 2e-3, 2.6
SLANTED = WarmupLinear(RATE, warmup=0.1, final=RATE / 32)
VARIED: Augmentation = TokenDropout(0.1)
HEAD = Network("causal", hidden=64, dropout_hidden=True, feature_norm=True)
LIKE = Stage(
    "",
    config.TRAIN_ALL,
    SLANTED,
    epochs=1,
    optimizer=Optimizer("adam", weight_decay=1e-2),
    least_images=1600,
    augment=VARIED,
    dropout=0.3,
    keep_going=True,  # a head on few labels begins above chance's loss; what follows mends it
)


@dataclass(frozen=True)
class Arm:
    """Hold what an arm starts from, and which parts of the procedure it has."""

    start: str = "tuned"  # or "running": without the target's texts; or "random"
    gradual: bool = True
    discriminative: bool = True
    slanted: bool = True


ARMS = {
    "whole": Arm(),
    "random start": Arm("random", gradual=False, discriminative=False),
    "not tuned": Arm("running"),
    "at once": Arm(gradual=False),
    "one rate": Arm(discriminative=False),
    "constant": Arm(slanted=False),
}


def plan_of(arm: Arm) -> Plan:
    """Make the plan of an arm; each has as many steps in all."""
    like = LIKE if arm.slanted else replace(LIKE, lr=RATE)
    factor = FACTOR if arm.discriminative else 1.0
    plan = recipe.gradual_unfreezing(like, factor=factor, base="causal")
    if arm.gradual:
        # The last stage, which trains all, is longer.
        return Plan(plan.name, (*plan.stages[:-1], replace(plan.stages[-1], epochs=4)))
    whole = replace(plan.stages[-1], epochs=len(plan.stages) + 3)
    return Plan("at once", (whole,))


def language(
    args: argparse.Namespace, text: TextSets, name: str, base: Weights | None
) -> tuple[Weights, float]:
    """Train a language model, or read the one that is there; returns it and its perplexity."""
    out = args.workdir / f"{name}.safetensors"
    if not out.exists():
        epochs = args.epochs if base is None else args.tune
        stage = replace(pretraining.LANGUAGE, epochs=epochs)
        if base is not None:  # slower, and slanted: what was learnt must not be lost
            stage = replace(stage, lr=WarmupLinear(5e-4, warmup=0.1, final=5e-4 / 32))
        options = {"vocabulary": text.vocabulary.size, "width": args.width, "dropout": 0.1}
        pretrain(
            Source(text, base, dtype=jnp.dtype(args.dtype), progress=False),
            stage,
            network=Network("causal", options),
            seed=0,
            out=out,
            saves=args.workdir / f"{name}.progress",
        )
    weights = read(out)
    return weights, weights.provenance["record"]["validation"]["perplexity"]


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    args.workdir.mkdir(parents=True, exist_ok=True)
    text = running.load(args.text, size=sizes.WINDOW)
    print(text.counts(), flush=True)
    general, first = language(args, text, "running", None)
    known = general.preprocess
    assert isinstance(known, Vocabulary)
    target = running.load(args.data, size=sizes.WINDOW, vocabulary=known)
    tuned, second = language(args, target, "tuned", general)
    print(
        f"perplexity: {first:.1f} of {text.name}; tuned {second:.1f} of {target.name}", flush=True
    )
    sets = load.load(args.data, vocabulary=known, size=sizes.WINDOW, progress=False)
    print(sets.counts(), flush=True)
    starts = {"tuned": tuned, "running": general, "random": None}
    out = args.workdir / "ulmfit.json"
    about = {"data": sets.digest, "width": args.width, "dtype": args.dtype}
    about["perplexity"] = [first, second]
    found = _kept(out, about)
    for seed in range(args.seeds):
        for count in args.labels:
            part = sets if count == "all" else few(sets, int(count), seed=seed)
            for name in args.arms:
                each, arm = found.setdefault(count, {}).setdefault(name, []), ARMS[name]
                if len(each) <= seed:
                    each.append(_accuracy(args, part, arm, starts[arm.start], seed=seed))
                    disk.write_json(out, {**about, "accuracy": found})
                told = f"seed {seed}, {count} labels, {name}: {100 * each[seed]:.1f} %"
                print(told, flush=True)
    for count in args.labels:
        for line in _lines(count, {name: found[count][name][: args.seeds] for name in args.arms}):
            print(line, flush=True)


def _kept(path: Path, about: Json) -> dict[str, dict[str, list[float]]]:
    """Read the accuracies that an earlier call left, to go on; InputError if it was another's."""
    if not path.exists():
        return {}
    document = json.loads(path.read_text())
    found = document.pop("accuracy")
    if document != about:
        raise InputError(f"{path}: of other data or language models; name another --workdir")
    return found


def _accuracy(
    args: argparse.Namespace, sets: TextSets, arm: Arm, weights: Weights | None, *, seed: int
) -> float:
    source = Source(sets, weights, dtype=jnp.dtype(args.dtype), progress=False)
    options = {"vocabulary": sets.vocabulary.size, "width": args.width}
    network = replace(HEAD, options=options | {"dropout": 0.1})
    trained = plans.train_plan(plan_of(arm), network, source, seed=seed)[-1]
    scores = trained.scores.get("test", trained.scores["validation"])
    return scores["accuracy"]


def _lines(count: str, found: dict[str, list[float]]) -> list[str]:
    """Describe each arm with this many labels: its mean, and how far from the whole."""
    whole, lines = np.array(found.get("whole", [])), []
    for name, each in found.items():
        line = f"{count:>5} labels  {name:13} {100 * np.mean(each):5.1f} %"
        if name != "whole" and len(whole):
            differences = (100 * (np.array(each) - whole)).tolist()
            line += f"  {np.mean(differences):+5.1f} points{_interval(differences)}"
        lines.append(line)
    return lines


def _interval(differences: Sequence[float]) -> str:
    interval = t_interval(differences)
    return f" ({interval.low:+.1f} to {interval.high:+.1f})" if interval else ""


def _labels(text: str) -> str:
    return text if text == "all" else str(cli.positive(text))


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="ulmfit")
    add = parser.add_argument
    add("--data", required=True, metavar="SOURCE", help="texts of classes")
    add("--text", default="stdlib:source", metavar="SOURCE", help="running text (stdlib:source)")
    add("--labels", nargs="+", type=_labels, default=["100", "300", "1000", "all"], metavar="N")
    add("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="which (all)")
    add("--seeds", type=cli.positive, default=5, metavar="N", help="how many (5)")
    add("--epochs", type=cli.positive, default=8, help="of the language model (8)")
    add("--tune", type=cli.positive, default=8, help="of the target's texts (8)")
    add("--width", type=cli.positive, default=128, help="channels of the transformer (128)")
    add("--dtype", choices=("float32", "bfloat16"), default="float32", help="(float32)")
    add("--workdir", type=Path, default=Path("runs/ulmfit"), metavar="DIR", help="(runs/ulmfit)")
    return parser


if __name__ == "__main__":
    running_command.run(main)
