"""Texts as tokens: int32 arrays with labels and ids, checked when made."""

import dataclasses

import jax
import numpy as np

from tljax.data.sets import ImageSet, ImageSets
from tljax.data.text.vocabulary import Vocabulary
from tljax.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class TextSet(ImageSet):
    """Hold the texts of one split as tokens, with labels, ids and the texts themselves.

    `images` are the tokens, int32 `[N, T]`, 0 for padding.
    """

    texts: tuple[str, ...] = ()

    def _check_examples(self) -> None:
        tokens = self.images
        shape, dtype = np.shape(tokens), getattr(tokens, "dtype", type(tokens).__name__)
        if dtype != np.int32 or len(shape) != 2 or 0 in shape[1:]:
            raise InputError(f"TextSet: expected tokens int32 [N, T], found {dtype} {shape}")
        if len(self.texts) not in (0, len(tokens)):
            raise InputError(f"TextSet: expected {len(tokens)} texts, found {len(self.texts)}")

    def __repr__(self) -> str:
        return f"TextSet({len(self)} texts of {self.images.shape[1]} tokens)"


@dataclasses.dataclass(frozen=True, eq=False)
class TextSets(ImageSets):
    """Hold the training, validation and perhaps test texts, and the vocabulary they were read with.

    `size` is the number of tokens of each.
    """

    vocabulary: Vocabulary = dataclasses.field(kw_only=True)
    whole: float = dataclasses.field(default=1.0, kw_only=True)  # share of texts that were not cut

    @property
    def spec(self) -> jax.ShapeDtypeStruct:
        """Return shape and dtype of one example as a network takes it."""
        return jax.ShapeDtypeStruct((1, self.size), np.int32)

    @property
    def preprocess(self) -> Vocabulary:
        """Return what comes before a network that no base decides: the vocabulary."""
        return self.vocabulary

    @property
    def about(self) -> str:
        """Say what the examples are: "texts of 48 tokens, 99.0 % of them whole"."""
        return f"texts of {self.size} tokens, {100 * self.whole:.1f} % of them whole"
