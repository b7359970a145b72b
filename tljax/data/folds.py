"""Folds of a training set, stratified by class."""

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
