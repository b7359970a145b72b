"""Folds and draws of a training set, stratified by class."""

import numpy as np

from tljax.errors import InputError


def stratified(labels: np.ndarray, *, k: int, seed: int) -> np.ndarray:
    """Assign each example a fold, `[N]` int32 from 0 to k - 1, class by class in a seeded order.

    Folds differ by one example at most, and so do their shares of each class. k = N leaves one out.
    InputError unless 2 <= k <= N.
    """
    count = len(labels)
    if not 2 <= k <= count:
        raise InputError(f"folds: expected from 2 to {count}, one for each example, found {k}")
    order = np.random.Generator(np.random.Philox(key=[seed, 0xF0])).permutation(count)
    dealt = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(count, np.int32)
    fold[dealt] = np.arange(count) % k
    return fold


def drawn(labels: np.ndarray, *, count: int, seed: int) -> np.ndarray:
    """Draw examples without replacement, each class in its proportion: places `[count]` in order.

    InputError unless 2 <= count <= N.
    """
    if not 2 <= count <= len(labels):
        raise InputError(f"draw: expected from 2 to {len(labels)} examples, found {count}")
    order = np.random.Generator(np.random.Philox(key=[seed, 0xD2])).permutation(len(labels))
    turn = np.empty(len(labels))
    for each in np.unique(labels):
        places = order[labels[order] == each]
        turn[places] = (np.arange(len(places)) + 0.5) / len(places)
    return np.sort(order[np.argsort(turn[order], kind="stable")][:count])
