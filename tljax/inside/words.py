"""Which words of a text a classifier's answer rests on: gradient times embedding."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from tljax.data.text.vocabulary import Vocabulary
from tljax.inside.net import Net, in_batches, score
from tljax.tree import Params


class Word(NamedTuple):
    """A word of a text: first character, the one behind its last, and what speaks for a class."""

    first: int
    last: int
    weight: float


def weights(net: Net, tokens: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Compute what each token adds to the logit of a class: `[N, T]` float32.

    `tokens` `[N, T]` int32, `classes` `[N]`. It is the gradient of the logit by the token's
    embedding, times that embedding: the first order of what would change without it (Denil et al.
    2014, arXiv 1412.6815, section 3; Shrikumar et al. 2016, arXiv 1605.01713).
    """
    return in_batches(_program(net), net.params, tokens, classes)


def words(text: str, tokens: np.ndarray, weights: np.ndarray, vocabulary: Vocabulary) -> list[Word]:
    """Add up the weights of a text's tokens by word, between blanks, in their order.

    `tokens` and `weights` are `[T]`; a text that was cut has fewer words.
    """
    sums: dict[tuple[int, int], float] = {}
    places = vocabulary.pieces(text)
    real = int((tokens != 0).sum())
    for (first, last), weight in zip(places[:real], weights, strict=False):
        if first == last:
            continue  # of what the vocabulary puts before and behind a text
        span = _word(text, first)
        sums[span] = sums.get(span, 0.0) + float(weight)
    return [Word(first, last, weight) for (first, last), weight in sums.items()]


def _program(net: Net) -> Callable[[Params, Array, Array], Array]:
    first = net.architecture.names[0]
    start = net.architecture.following(first)

    def program(params: Params, tokens: Array, classes: Array) -> Array:
        _, out = net.run(tokens, params)
        embedded = out[f"base/{first}"]

        def logits(activation: Array) -> Array:
            entering = net.entering(first, activation, out)
            return score(net.evidence(entering, params, start=start), classes).sum()

        return (jax.grad(logits)(embedded) * embedded).sum(-1)

    return program


def _word(text: str, place: int) -> tuple[int, int]:
    """Return first and last of the stretch without blanks around a place, or after it."""
    while place < len(text) - 1 and text[place].isspace():
        place += 1
    first = last = place
    while first > 0 and not text[first - 1].isspace():
        first -= 1
    while last < len(text) and not text[last].isspace():
        last += 1
    return first, last
