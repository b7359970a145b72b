"""Confusion, precision, recall, F1 and AUC as scikit-learn has them."""

import numpy as np
import pytest

from tljax.report.stats import scores


def test_scores_are_scikit_learns(probabilities, labels):
    """scikit-learn 1.7: confusion_matrix, precision_recall_fscore_support,
    roc_auc_score of each class.
    """
    matrix = scores.confusion(labels, probabilities.argmax(1), classes=3)
    assert matrix.tolist() == [[2, 1, 0], [1, 2, 0], [0, 1, 3]]
    assert scores.precision(matrix) == pytest.approx([2 / 3, 1 / 2, 1])
    assert scores.recall(matrix) == pytest.approx([2 / 3, 2 / 3, 3 / 4])
    assert scores.f1(matrix) == pytest.approx([2 / 3, 4 / 7, 6 / 7])
    assert scores.aucs(probabilities, labels) == pytest.approx(
        [0.8809523809523809, 0.8095238095238095, 0.9375]
    )


def test_a_tie_counts_half():
    """Pairs of (0.5, 0.9) over (0.1, 0.5): three won, one tied."""
    assert (
        scores.auc(np.array([0.5, 0.9, 0.1, 0.5]), np.array([True, True, False, False])) == 3.5 / 4
    )


def test_what_is_not_there_has_no_score():
    matrix = scores.confusion(np.array([0, 0]), np.array([0, 1]), classes=3)
    np.testing.assert_array_equal(scores.precision(matrix), [1, 0, np.nan])
    np.testing.assert_array_equal(scores.recall(matrix), [0.5, np.nan, np.nan])
    np.testing.assert_allclose(scores.f1(matrix), [2 / 3, 0, np.nan])
    assert np.isnan(scores.auc(np.array([0.1, 0.2]), np.array([True, True])))


def test_the_most_confused_pairs_are_errors_only():
    matrix = np.array([[9, 0, 2], [5, 9, 0], [2, 0, 9]])
    assert scores.most_confused(matrix, pairs=2) == [(1, 0), (0, 2)]
    assert scores.most_confused(matrix, pairs=20) == [(1, 0), (0, 2), (2, 0)]
    assert scores.most_confused(np.eye(3), pairs=5) == []
