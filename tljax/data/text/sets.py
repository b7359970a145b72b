"""Texts as tokens: int32 arrays with labels and ids, checked when made."""

import dataclasses
import hashlib
from collections.abc import Callable

import jax
import numpy as np

from tljax.data import names
from tljax.data.splits import few as few_of
from tljax.data.text.augment import TextAugment
from tljax.data.text.vocabulary import Vocabulary
from tljax.errors import InputError
from tljax.tasks.task import Task
from tljax.tasks.text import TEXT


@dataclasses.dataclass(frozen=True, eq=False)
class TextSet:
    """Hold the texts of one split as tokens, with labels and ids, and the texts themselves.

    InputError names the field whose dtype, shape or length is another.
    """

    inputs: np.ndarray  # int32 [N, T], 0 for padding
    labels: np.ndarray  # [N, ...] as the task has them; of classes int32 [N]
    ids: tuple[str, ...]  # stable name of each example, such as "train/pos/17.txt"
    texts: tuple[str, ...] = ()  # none of running text

    def __post_init__(self) -> None:
        shape, dtype = np.shape(self.inputs), getattr(self.inputs, "dtype", None)
        if dtype != np.int32 or len(shape) != 2 or 0 in shape[1:]:
            raise InputError(f"TextSet: expected tokens int32 [N, T], found {dtype} {shape}")
        for field in ("labels", "ids", *(("texts",) if self.texts else ())):
            if len(getattr(self, field)) != len(self.inputs):
                expected = f"{len(self.inputs)}, one for each text"
                found = len(getattr(self, field))
                raise InputError(f"TextSet: {field}: expected {expected}, found {found}")

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"TextSet({len(self)} texts of {self.inputs.shape[1]} tokens)"


@dataclasses.dataclass(frozen=True, eq=False)
class TextSets:
    """Hold the training, validation and perhaps test texts, and the vocabulary they were read with.

    InputError for labels without a class, and for texts of several lengths.
    """

    name: str  # the source string
    classes: tuple[str, ...]
    train: TextSet
    validation: TextSet
    digest: str  # hex sha256 of texts, labels, vocabulary and length
    vocabulary: Vocabulary
    size: int  # tokens of what a network sees of each
    about: str  # "texts of 48 tokens, 99.1 % of them whole"
    test: TextSet | None = None  # reported once, at the end; nothing is chosen on it
    left_out: tuple[str, ...] = ()  # counts of files that are no examples, each with the reason
    plain_task: Task = TEXT
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        task = self.plain_task
        names.check(self.name, self.classes, least=task.least)
        for split, part in self.splits.items():
            where = f"{self.name}: {split}"
            if not len(part):
                raise InputError(f"{where}: expected one text or more, found none")
            labels = task.checked(where, part.labels, count=len(part))
            task.check(where, labels, classes=len(self.classes))
        counted = {
            split: task.counts(part.labels, classes=len(self.classes))
            for split, part in self.splits.items()
        }
        present = {split: each for split, each in counted.items() if each is not None}
        names.refuse_unseen(self.name, self.classes, present, what="texts")

    @property
    def splits(self) -> dict[str, TextSet]:
        """Map "train", "validation" and perhaps "test" to their texts."""
        pairs = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in pairs.items() if part is not None}

    @property
    def task(self) -> Task:
        """Return what the labels are for, with what it takes from those of training."""
        return self.plain_task.fitted(self.train.labels)

    @property
    def spec(self) -> jax.ShapeDtypeStruct:
        """Return shape and dtype of one example as a network takes it."""
        return jax.ShapeDtypeStruct((1, self.size), np.int32)

    @property
    def preprocess(self) -> Vocabulary:
        """Return what comes before a network that no base decides: the vocabulary."""
        return self.vocabulary

    @property
    def augmented(self) -> Callable[..., jax.Array]:
        """Return the function that varies tokens at random."""
        return _varied

    def counts(self) -> str:
        """Describe the set in one line: classes, texts, tokens, and what was left out and why."""
        classes = self.classes
        named = ", ".join(classes) if len(classes) <= 12 else f"{len(classes)} classes"
        train, *held = [f"{len(part):,} {_CALLED[split]}" for split, part in self.splits.items()]
        examples = f"{', '.join([train, *held[:-1]])} and {held[-1]} {self.about}"
        out = f"; left out: {'; '.join(self.left_out)}" if self.left_out else ""
        return f"{self.name}: {named}; {examples}{out}"

    def __repr__(self) -> str:
        return f"TextSets({self.counts()})"


_CALLED = {"train": "training", "validation": "validation", "test": "test"}


def _varied(
    tokens: jax.Array,
    *,
    keys: jax.Array,
    ranges: TextAugment,
    strength: jax.Array | float = 1.0,
    maps: None = None,
) -> jax.Array:
    del maps  # of photographs
    return ranges(tokens, keys=keys, strength=strength)


def few(sets: TextSets, count: int, *, seed: int) -> TextSets:
    """Keep `count` training texts, drawn by the seed, as many of each class as there would be.

    Held-out texts stay, and so do the training texts' places in their order. InputError for fewer
    than one of each class, or more than there are.
    """
    labels, ids = sets.train.labels, sets.train.ids
    if not len(sets.classes) <= count <= len(labels):
        expected = f"{len(sets.classes)} to {len(labels)} training texts"
        raise InputError(f"{sets.name}: expected {expected}, found {count} to be kept")
    kept = few_of(labels, ids, count, seed=seed)
    train = TextSet(
        sets.train.inputs[kept],
        labels[kept],
        tuple(ids[i] for i in kept),
        tuple(sets.train.texts[i] for i in kept) if sets.train.texts else (),
    )
    digest = hashlib.sha256(f"{sets.digest} {count} {seed}".encode()).hexdigest()
    return dataclasses.replace(sets, train=train, digest=digest)
