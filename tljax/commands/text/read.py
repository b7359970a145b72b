"""What the commands do with texts in place of photographs: which options mean them, what is read.

Texts are read with the vocabulary of the base. Where there is no base yet, it is that of the source
text, on which a base is trained first.
"""

import argparse
import functools
from dataclasses import replace

from tljax import data
from tljax.config import pretraining, sizes
from tljax.data import drawn
from tljax.data.text import docstrings, running, sources
from tljax.data.text import load as text_load
from tljax.data.text.sets import TextSets
from tljax.data.text.sources import Columns
from tljax.data.text.vocabulary import Vocabulary, trained
from tljax.errors import InputError
from tljax.models.architecture import Options
from tljax.models.build import Network, checked
from tljax.tasks.text import TEXT
from tljax.weights import Weights

SCRATCH = "bag"
OF_PHOTOGRAPHS = ("file_column", "label_separator", "classes", "void", "decisions", "skip_corrupt")


def settle(args: argparse.Namespace, weights: Weights | None) -> None:
    """Set the task of options that mean texts: by the data, or by a base that reads tokens."""
    if args.task == TEXT.name and args.data == "critters":
        args.data = docstrings.TARGET
    tokens = weights is not None and isinstance(weights.preprocess, Vocabulary)
    if args.data.partition(":")[0] == docstrings.TARGET:
        args.task = TEXT.name
    if args.task is None and (tokens or args.text_column or holds_texts(args.data)):
        args.task = TEXT.name
    if args.task != TEXT.name:
        if args.text_column:
            raise InputError(f"--text-column: expected texts, found --task {args.task}")
        return
    if args.data == docstrings.SOURCE:
        raise InputError(f"{args.data}: expected texts of classes; it is for tljax pretrain")
    if weights is not None and not tokens:
        raise InputError(
            f"{args.weights}: expected a base of texts, found {weights.architecture.get('name')}"
        )


def holds_texts(source: str) -> bool:
    """Tell whether the files of a source are texts, as far as their names say it."""
    return source not in drawn.SOURCES and text_load.holds_texts(source)


def load(args: argparse.Namespace, weights: Weights | None) -> TextSets:
    """Load the texts that the options name, as tokens of the base's vocabulary."""
    for name in OF_PHOTOGRAPHS:
        if vars(args)[name]:
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{option}: expected photographs, found texts ({args.data})")
    tolerance = _tolerance(args)
    return text_load.load(
        args.data,
        vocabulary=vocabulary(args, weights),
        size=args.size,
        columns=_columns(args),
        validation_fraction=args.validation_fraction,
        tolerance=tolerance,
        places=data.Places(tfds=args.data_dir),
        progress=not args.quiet,
    )


def source(args: argparse.Namespace, weights: Weights | None) -> TextSets:
    """Load the running text that a base is trained on: of `stdlib`, or of the options' source."""
    return _running(
        docstrings.SOURCE if args.data == docstrings.TARGET else args.data,
        vocabulary(args, weights) if weights else None,
    )


def vocabulary(args: argparse.Namespace, weights: Weights | None) -> Vocabulary:
    """Return the base's vocabulary; without a base that of its source, or of the texts alone."""
    if weights is None:
        if args.data == docstrings.TARGET:
            return source(args, None).vocabulary
        places = data.Places(tfds=args.data_dir)
        return _of_texts(args.data, _columns(args), _tolerance(args), places)
    assert isinstance(weights.preprocess, Vocabulary)  # `settle` has refused others
    return weights.preprocess


def options(base: str, args: argparse.Namespace) -> Options:
    """Return the options of a base that is trained here: its vocabulary, and how wide it is."""
    own = pretraining.TEXT_OPTIONS if base == pretraining.TEXT_BASE else {}
    return checked(base, {**own, "vocabulary": vocabulary(args, None).size})


def network(network: Network, args: argparse.Namespace, weights: Weights | None) -> Network:
    """Return a rung's network for texts: from scratch it is a bag of words and a linear layer."""
    if network.architecture.pretrained:
        return network
    options = checked(SCRATCH, {"vocabulary": vocabulary(args, weights).size})
    return replace(network, base=SCRATCH, options=options, hidden=0, dropout_flat=False)


def _columns(args: argparse.Namespace) -> Columns:
    """Return the columns of texts and classes that the options name."""
    if len(args.label_columns) > 1:
        found = ", ".join(args.label_columns)
        raise InputError(f"--label-columns: expected one column of classes, found {found}")
    return Columns(args.text_column, *args.label_columns)


def _tolerance(args: argparse.Namespace) -> data.Tolerance:
    return data.Tolerance(allow_duplicates=args.allow_duplicates, follow_links=args.follow_links)


@functools.lru_cache(maxsize=1)
def _of_texts(
    name: str, columns: Columns, tolerance: data.Tolerance, places: data.Places
) -> Vocabulary:
    found = text_load.listed(name, columns=columns, tolerance=tolerance, places=places)
    return trained(sources.read(found.listings["train"], source=name), size=running.VOCABULARY)


@functools.lru_cache(maxsize=1)
def _running(name: str, known: Vocabulary | None) -> TextSets:
    return running.load(name, size=sizes.WINDOW, vocabulary=known)
