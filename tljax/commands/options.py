"""The options of every command that trains from a base, and the rungs as they have them."""

import argparse
import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from tljax import config
from tljax.commands import cli
from tljax.commands.climb.rung import MASKS, PRESET
from tljax.commands.text import read as texts
from tljax.config import Stage, pretraining, sizes
from tljax.data import critters, drawn
from tljax.data.augment import Augment, Photometric
from tljax.data.sources import has_masks
from tljax.errors import InputError
from tljax.models.architecture import Options
from tljax.models.build import LAYERS, Network, described
from tljax.recipe import scaled_batch
from tljax.runs.base import load_base
from tljax.tasks.text import TEXT
from tljax.weights import Weights


def parser(doc: str | None, *, experiment: str, rates: bool = True) -> argparse.ArgumentParser:
    """Make a parser with the options of every command that trains from a base.

    `rates=False` leaves out --lr, for a command with a rate option of its own.
    """
    new = cli.parser(doc, experiment=experiment, size=None)
    base, how, rare = (cli.group(new, title) for title in (cli.BASE, cli.HOW, cli.RARE))
    add = base.add_argument
    add(
        "--weights",
        type=lambda text: str(cli.path(text)) if text.startswith("~") else text,
        metavar="FILE",
        help="the pretrained base: a file; the name of a published one, such as "
        "efficientnet-lite0 or vgg16-imagenet-keras-notop; hf:OWNER/REPO; or the folder of a run, "
        "RUN or RUN:RUNG:SEED (on critters: the one that comes with them)",
    )
    add("--seeds", type=cli.positive, default=1, metavar="N", help="how many seeds to run (1)")
    add("--seed", type=int, default=0, metavar="N", help="the first of them (0)")
    presets = (
        "rates and lengths: tuned, for any base; deck-keras2 and deck-keras3, those of a lecture; "
        "critters, for the embedded drawings; masks, for masks (tuned, and masks for masks)"
    )
    add("--preset", choices=sorted(config.PRESETS), help=presets)
    cli.base_option(base)
    reads = (
        "what the head reads of the base: its last layer, or the means of all its layers over "
        "places (last; of texts all, for linear and features)"
    )
    add("--layers", choices=LAYERS, help=reads)
    add = how.add_argument
    if rates:
        add(
            "--lr",
            dest="rate",
            type=_rate,
            metavar="RATE",
            help="peak rate of every stage, or find: a range test (the preset's)",
        )
    cli.log_option(new)
    views = (
        "augmented views of each photograph that run through the frozen layers once and are "
        "saved; 0: augmented afresh at each step (the preset's)"
    )
    add("--views", type=int, metavar="K", help=views)
    stored = "numbers that --views are saved in; bfloat16 makes room for twice as many (--dtype's)"
    lowered = (
        "on a CPU: measured, each large convolution in the way that is faster on this machine, "
        "which is timed once and kept; direct, XLA's own (measured)"
    )
    rare.add_argument(
        "--lowering", choices=("measured", "direct"), default="measured", help=lowered
    )
    rare.add_argument("--features-dtype", choices=("float32", "bfloat16"), help=stored)
    add(
        "--batch",
        type=cli.positive,
        metavar="N",
        help="batch size, of all devices together (the preset's)",
    )
    weights = (
        "balanced: a class counts as much as any other, however many photographs it has; or "
        "weights by name, cat=2,dog=1 (every photograph alike)"
    )
    add("--class-weights", metavar="WEIGHTS", help=weights)
    smoothing = "share of each label that is spread evenly over all classes (0)"
    add("--label-smoothing", type=float, default=0.0, metavar="SHARE", help=smoothing)
    mixup = "alpha of mixup, which trains on pairs of photographs mixed; 0.2 is usual (0, none)"
    add("--mixup", type=float, default=0.0, metavar="ALPHA", help=mixup)
    photometric = (
        "augmented photographs vary in blur, colour, contrast, brightness and noise too, for those "
        "to come from another camera or in another light"
    )
    add("--photometric", action="store_true", help=photometric)
    dice = "of masks: times a soft Dice loss, added to the cross entropy; 1 is usual (0, none)"
    add("--dice", type=float, default=0.0, metavar="WEIGHT", help=dice)
    anchor = (
        "decay of the trained base towards its pretrained weights, in place of zero: L2-SP; "
        "1 to 30 make a difference (0, none)"
    )
    add("--anchor", type=_anchor, default=0.0, metavar="STRENGTH", help=anchor)
    scaled = "with --batch: rates grow as the batch does, after a warm-up (they stay)"
    rare.add_argument("--scale-lr", action="store_true", help=scaled)
    return new


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line.

    Without `--size` images are as large as those that the base was trained on, where it records
    that, else as large as the lecture's.
    """
    args = parser.parse_args()
    texts.settle(args, base_of(args) if args.weights else None)
    if args.size is None and args.task == TEXT.name and not args.weights:
        args.size = sizes.WINDOW
    if args.preset is None:
        masks = args.task != TEXT.name and has_masks(args.data)
        args.preset = MASKS if masks else PRESET
    if args.size is None:
        args.size = size_for(args.data, base_of(args))
    return args


def size_for(source: str, weights: Weights | None) -> int:
    """Return the pixels of a side where none are asked for: those the base was trained on."""
    if source in drawn.SOURCES:
        return sizes.CRITTERS
    size = weights.provenance.get("size") if weights else None
    return size if isinstance(size, int) and size > 0 else sizes.LECTURE


def base_of(args: argparse.Namespace) -> Weights | None:
    """Load the base that the options name; None without one.

    For critters, and no --base, it is the one that comes with them.
    """
    if not args.weights and args.data in drawn.TARGETS and args.base is None:
        return _loaded(str(critters.BASE), progress=False)
    return _loaded(args.weights, progress=not args.quiet) if args.weights else None


@functools.lru_cache(maxsize=1)
def _loaded(name: str, *, progress: bool) -> Weights:
    return load_base(name, progress=progress)


def seeds_of(args: argparse.Namespace) -> range:
    """Return the seeds that the options name."""
    return range(args.seed, args.seed + args.seeds)


def network_of(name: str, args: argparse.Namespace) -> Network:
    """Return the preset's network of a rung, for the base and size that the options name."""
    return network_on(name, config.network_of(name, args.preset or PRESET), args)


def stage_of(name: str, args: argparse.Namespace) -> Stage:
    """Return the preset's stage of a rung, changed by the options."""
    return stage_on(name, config.PRESETS[args.preset or PRESET][name], args)


def architecture_of(args: argparse.Namespace) -> tuple[str, Options]:
    """Return base and options of the networks that the options name: those of --weights."""
    weights, words = base_of(args), args.task == TEXT.name
    base = args.base or (pretraining.TEXT_BASE if words else pretraining.CRITTERS_BASE)
    if weights:
        name, options = described(weights.architecture, source=weights.source)
        if args.base not in (None, name):
            raise InputError(f"--base {args.base}: expected {name}, which {args.weights} is of")
        return name, options
    if words:
        return base, texts.options(base, args)
    return base, pretraining.CRITTERS_OPTIONS if base == pretraining.CRITTERS_BASE else {}


def network_on(name: str, network: Network, args: argparse.Namespace) -> Network:
    """Return a rung's network for the base and size that the options name.

    Unless they say which layers its head reads, of texts a head on features reads all.
    """
    if args.task == TEXT.name:
        network = texts.network(network, args, base_of(args))
    small = network.base == "cnn" and (args.size < sizes.CNN_VALID or args.preset == MASKS)
    if small:
        network = replace(network, options={"padding": "SAME"})
    if not network.architecture.pretrained:
        return network
    features = args.task == TEXT.name and name in config.ON_FEATURES
    layers = args.layers or ("all" if features else "last")
    return replace(network.on(*architecture_of(args)), layers=layers)


def stage_on(name: str, stage: Stage, args: argparse.Namespace) -> Stage:
    """Return a rung's stage for the base that the options name, changed by the options."""
    return with_views(name, config.stage_on(name, stage, architecture_of(args)[0]), args)


def with_views(name: str, stage: Stage, args: argparse.Namespace) -> Stage:
    stage = with_options(stage, args)
    if args.views is None or name not in ("frozen", "finetune"):
        return stage
    return replace(stage, views=args.views or None)


def with_options(stage: Stage, args: argparse.Namespace) -> Stage:
    """Give a stage the length, batch, rates and dtype of features that the options name."""
    if args.scale_lr and not args.batch:
        raise InputError("--scale-lr: expected --batch with it, which it scales the rates by")
    if args.epochs and stage.solver == "steps":
        stage = replace(stage, epochs=args.epochs)
    if args.task == TEXT.name:
        stage = config.on_texts(stage)
        if not args.weights and stage.optimizer == config.LAMB:
            stage = at_rate(stage, config.TEXT_RATE)
    stage = replace(
        stage.scaled(budget=args.budget),
        skip_nonfinite=args.skip_nonfinite,
        keep_going=args.keep_going,
    )
    if stage.solver == "steps" and (args.label_smoothing or args.mixup or args.dice):
        loss = replace(
            stage.objective,
            label_smoothing=args.label_smoothing,
            mixup=args.mixup,
            dice=args.dice,
        )
        stage = replace(stage, objective=loss)
    if args.photometric and isinstance(stage.augment, Augment):
        stage = replace(stage, augment=replace(stage.augment, photometric=Photometric()))
    if args.anchor and stage.solver == "steps" and stage.name != "scratch":
        stage = replace(stage, optimizer=replace(stage.optimizer, anchor=args.anchor))
    if rate := getattr(args, "rate", None):
        stage = at_rate(stage, rate)
    if args.features_dtype and stage.views:
        stage = replace(stage, features_dtype=args.features_dtype)
    if not args.batch:
        return stage
    return (
        scaled_batch(stage, args.batch) if args.scale_lr else replace(stage, batch_size=args.batch)
    )


def weighted(stage: Stage, args: argparse.Namespace, classes: Sequence[str]) -> Stage:
    """Give a stage the class weights that the options name, once the classes are known.

    InputError for a name that is no class, and for a class without a weight.
    """
    if args.class_weights is None or stage.solver != "steps":
        return stage
    if args.class_weights == "balanced":
        return replace(stage, objective=replace(stage.objective, class_weights="balanced"))
    pairs = [part.rpartition("=") for part in args.class_weights.split(",")]
    given = {name.strip(): _number(text) for name, _, text in pairs}
    if set(given) != set(classes):
        expected = ",".join(f"{name}=WEIGHT" for name in classes)
        raise InputError(
            f"--class-weights: expected balanced or {expected}, found {args.class_weights}"
        )
    weights = tuple(given[name] for name in classes)
    return replace(stage, objective=replace(stage.objective, class_weights=weights))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--class-weights: expected a number, found {text!r}") from None


def at_rate(stage: Stage, rate: float | Literal["find"]) -> Stage:
    """Give a stage of steps another rate: the peak of its schedule where it has one."""
    if stage.solver != "steps":
        return stage
    schedule: Any = stage.lr
    peaked = rate != "find" and hasattr(schedule, "peak")
    return replace(stage, lr=replace(schedule, peak=rate) if peaked else rate)


def _anchor(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be 0 or more, found {text}")
    return value


def _rate(text: str) -> float | str:
    return "find" if text == "find" else cli.fraction(text)
