"""An end at chance or worse than no answer is said; a good one,
and one that cannot be judged, is not.
"""

import math
from math import comb

import numpy as np
import pytest

from tljax.train.outcome import alarms

COIN = np.arange(100) % 2  # fifty of each class


def logits(right: int, labels: np.ndarray, *, sure: float) -> np.ndarray:
    """One logit each: the first `right` images on the side of their label,
    the others on the other one.
    """
    sides = np.where(labels == 1, 1.0, -1.0)
    sides[right:] *= -1
    return (sure * sides)[:, None].astype(np.float32)


@pytest.mark.parametrize("right", range(50, 70))
def test_chance_is_a_binomial_tail(right):
    tail = sum(comb(100, k) for k in range(right, 101)) / 2**100
    found = alarms.alarm(logits(right, COIN, sure=0.1), COIN, training_loss=0.69)
    assert (found is not None and found.kind == "at chance") == (tail >= 0.05)
    if found:
        assert found.p == pytest.approx(tail)


def test_the_most_frequent_class_is_the_chance_of_unequal_ones():
    labels = np.array([1] * 80 + [0] * 20)
    found = alarms.alarm(logits(82, labels, sure=0.1), labels, training_loss=0.5)
    assert (found.kind, found.share) == ("at chance", 0.8)
    assert "82.0 % of 100 in validation are right" in found.line(stage="s", seed=3)
    assert found.line(stage="s", seed=3).startswith("s, seed 3: at chance: ")


def test_a_loss_above_that_of_the_frequencies_is_overconfident():
    """95 of 100 right at a logit of z lose about 0.05 z: at 14 a coin's log 2,
    with a standard error of 0.02 z.
    """
    assert alarms.alarm(logits(95, COIN, sure=10), COIN, training_loss=0.1) is None
    found = alarms.alarm(logits(95, COIN, sure=80), COIN, training_loss=0.1)
    assert (found.kind, found.constant_loss) == ("overconfident", pytest.approx(math.log(2)))
    assert found.loss == pytest.approx(0.05 * 80)
    assert "validation loss 4.000, where answering the class frequencies has 0.693" in found.line(
        stage="s", seed=0
    )


def test_a_loss_within_noise_of_it_is_not():
    """Excess over log 2: mean 0.06 at a standard error of 0.33."""
    assert alarms.alarm(logits(95, COIN, sure=15), COIN, training_loss=0.1) is None


def test_what_memorises_is_told_apart_from_what_does_not_learn():
    said = [
        alarms.alarm(logits(50, COIN, sure=9), COIN, training_loss=loss).line(stage="s", seed=0)
        for loss in (0.01, 0.69)
    ]
    assert "it memorises" in said[0]
    assert "train longer" in said[1]


@pytest.mark.parametrize(("right", "sure"), [(50, 9), (95, 80)])
def test_what_was_solved_is_given_no_advice_on_steps(right, sure):
    found = alarms.alarm(logits(right, COIN, sure=sure), COIN, training_loss=0.01, solved=True)
    line = found.line(stage="linear", seed=0)
    assert not [word for word in ("epochs", "augmentation", "--lr", "train longer") if word in line]
    assert "more examples, another base, or look at the labels" in line


def test_labels_of_one_class_and_good_ends_of_five_classes_raise_nothing():
    assert (
        alarms.alarm(np.zeros((5, 1), np.float32), np.ones(5, np.int32), training_loss=0.0) is None
    )
    labels = np.arange(50) % 5
    assert alarms.alarm(4 * np.eye(5, dtype=np.float32)[labels], labels, training_loss=0.1) is None
    assert (
        alarms.alarm(np.zeros((50, 5), np.float32), labels, training_loss=1.6).kind == "at chance"
    )
