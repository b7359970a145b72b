"""Runs that were never trained: metrics, results and predictions as one would write them."""

import numpy as np
import pytest

from tljax.runs.predictions import Predictions


@pytest.fixture
def labels():
    return np.array([0, 0, 1, 1, 2, 2, 2, 1, 0, 2])


@pytest.fixture
def probabilities():
    """Ten images of three classes, with ties."""
    tenths = [721, 343, 181, 532, 226, 163, 217, 253, 433, 334]
    return np.array([[int(digit) / 10 for digit in str(three)] for three in tenths])


@pytest.fixture
def said():
    def said(right, *, labels=None, seeds=(0,)) -> Predictions:
        """Two classes; `right` [S, N] says which images each run classifies correctly."""
        right = np.atleast_2d(np.asarray(right, bool))
        labels = (
            np.zeros(right.shape[1], np.int32) if labels is None else np.asarray(labels, np.int32)
        )
        logits = np.eye(2)[np.where(right, labels, 1 - labels)]
        return Predictions(
            tuple(seeds), logits, labels, tuple(map(str, range(len(labels)))), ("cat", "dog")
        )

    return said
