"""What the commands do with texts in place of photographs: which options mean them, what is read.

Texts are read with the vocabulary of the base. Where there is no base yet, it is that of the source
text, on which a base is trained first.
"""

import argparse
import functools
from dataclasses import replace

from tljax import data
from tljax.config import pretraining, sizes
from tljax.data.text import docstrings, running, sources
from tljax.data.text import load as text_load
from tljax.data.text.sets import TextSets
from tljax.data.text.vocabulary import Vocabulary, trained
from tljax.errors import InputError
from tljax.models.architecture import Options
from tljax.models.build import Network, checked
from tljax.tasks.text import TEXT
from tljax.weights import Weights

SCRATCH = "bag"


def settle(args: argparse.Namespace, weights: Weights | None) -> None:
    """Set the task of options that mean texts: by the data, or by a base that reads tokens."""
    if args.task == TEXT.name and args.data == "critters":
        args.data = docstrings.TARGET
    tokens = weights is not None and isinstance(weights.preprocess, Vocabulary)
    if args.data.partition(":")[0] == docstrings.TARGET or (tokens and args.task is None):
        args.task = TEXT.name
    if args.task != TEXT.name:
        return
    if args.data == docstrings.SOURCE:
        raise InputError(f"{args.data}: expected texts of classes; it is for tljax pretrain")
    if weights is not None and not tokens:
        raise InputError(
            f"{args.weights}: expected a base of texts, found {weights.architecture.get('name')}"
        )


def load(args: argparse.Namespace, weights: Weights | None) -> TextSets:
    """Load the texts that the options name, as tokens of the base's vocabulary."""
    columns = (args.file_column, args.label_columns, args.label_separator)
    if any((*columns, args.classes, args.void, args.decisions)):
        expected = "photographs for options of columns, classes, void and decisions"
        raise InputError(f"{args.data}: expected {expected}, found texts")
    tolerance = data.Tolerance(
        allow_duplicates=args.allow_duplicates, follow_links=args.follow_links
    )
    return text_load.load(
        args.data,
        vocabulary=vocabulary(args, weights),
        size=args.size,
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
        own = args.data != docstrings.TARGET
        return _of_texts(args.data) if own else source(args, None).vocabulary
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


@functools.lru_cache(maxsize=1)
def _of_texts(name: str) -> Vocabulary:
    texts = sources.read(text_load.listed(name).listings["train"], source=name)
    return trained(texts, size=running.VOCABULARY)


@functools.lru_cache(maxsize=1)
def _running(name: str, known: Vocabulary | None) -> TextSets:
    return running.load(name, size=sizes.WINDOW, vocabulary=known)
