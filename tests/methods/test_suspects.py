import numpy as np
import pytest

from tljax.methods import suspects

LABELS = np.array([0, 0, 0, 1, 1, 1])
LIKELY = np.array([0.9, 0.8, 0.1, 0.3, 0.2, 0.7])  # of class 0
PROBABILITIES = np.stack([LIKELY, 1 - LIKELY], 1)


def test_thresholds_are_the_mean_certainty_of_each_class():
    assert suspects.thresholds(PROBABILITIES, LABELS) == pytest.approx([0.6, 0.6])
    assert suspects.thresholds(PROBABILITIES, np.zeros(6, int))[1] == 1.0


def test_suspects_reach_the_threshold_of_another_class_the_surest_first():
    """Example 2 is 0.9 of class 1, and 5 is 0.7 of class 0: both above 0.6."""
    found = suspects.suspects(PROBABILITIES, LABELS)
    assert found.places.tolist() == [2, 5]
    assert found.suggested.tolist() == [1, 0]
    assert suspects.joint(PROBABILITIES, LABELS).tolist() == [[2, 1], [1, 2]]


def test_an_example_below_every_threshold_is_no_suspect():
    probabilities = np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7], [0.3, 0.4, 0.3]])
    labels = np.array([0, 1, 2, 0])
    assert suspects.thresholds(probabilities, labels) == pytest.approx([0.6, 0.8, 0.7])
    assert suspects.suspects(probabilities, labels).places.tolist() == []


def test_precision_counts_what_is_missing_as_wrong():
    wrong = np.array([True, False, True, False])
    assert suspects.precision_at(np.array([0, 1, 2]), wrong, k=2) == 0.5
    assert suspects.precision_at(np.array([0]), wrong, k=2) == 0.5
    assert suspects.precision_at(np.array([0, 2]), wrong, k=2) == 1.0
