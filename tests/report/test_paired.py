"""Differences against printed p values, closed forms, and the sentences written out."""

import numpy as np
import pytest

from tljax.report.stats.intervals import Interval
from tljax.report.tables import paired


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(121, 59, 4.4344492637551645e-06), (5, 1, 0.21875), (3, 9, 0.14599609375), (0, 0, 1.0)],
)
def test_mcnemar_is_that_of_statsmodels(first, second, p):
    """statsmodels 0.14, contingency_tables.mcnemar(exact=True);
    40 images on which both agree change nothing.
    """
    one, other = (
        np.repeat([a, b, True, False], [first, second, 20, 20])
        for a, b in ((True, False), (False, True))
    )
    assert paired.mcnemar(one, other) == pytest.approx(p, rel=1e-9)


def test_interval_over_images_is_the_normal_one_for_many_of_them():
    """Differences of +1 on 300, -1 on 200 and 0 on 1500 images: mean 0.05,
    variance 0.25 - 0.05^2.
    """
    one, other = (
        np.repeat([a, b, True], [300, 200, 1500])[None] for a, b in ((True, False), (False, True))
    )
    interval = paired.paired_bootstrap(one, other)
    half = 1.96 * np.sqrt((0.25 - 0.05**2) / 2000)
    assert (interval.low, interval.high) == pytest.approx((0.05 - half, 0.05 + half), abs=1.5e-3)
    assert (interval.over, interval.count) == ("images", 2000)
    assert paired.paired_bootstrap(one, other) == interval


def test_what_all_images_share_is_still_unsure_over_seeds():
    """One of four seeds gains everything.

    Of three draws the share of it is 1 in 1/64, 2/3 in 9/64 of the cases.
    """
    one = np.repeat([[True], [False], [False], [False]], 50, axis=1)
    interval = paired.paired_bootstrap(one, np.zeros_like(one))
    assert (interval.low, interval.high) == pytest.approx((0, 2 / 3))
    assert interval.over == "seeds and images"


def test_interval_over_both_adds_their_variances():
    """Each image's difference is a coin of its own, and so is each seed's:
    a mean of seed and image effects.
    """
    rng = np.random.default_rng(1)
    chance = np.clip(0.5 + rng.normal(0, 0.1, (20, 1)) + rng.normal(0, 0.2, (1, 500)), 0, 1)
    one = rng.random((20, 500)) < chance
    interval = paired.paired_bootstrap(one, np.zeros_like(one))
    over_seeds, over_images = (one.mean(axis).var(ddof=1) / one.shape[1 - axis] for axis in (1, 0))
    half = 1.96 * np.sqrt(over_seeds + over_images)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.05)


@pytest.mark.parametrize(
    ("value", "low", "high", "p", "text"),
    [
        (0.018, 0.009, 0.027, None, "a beats b by 1.8 points [0.9, 2.7]"),
        (-0.018, -0.027, -0.009, None, "b beats a by 1.8 points [0.9, 2.7]"),
        (0.003, -0.008, 0.014, None, "a against b: no difference shown: +0.3 points [-0.8, 1.4]"),
        (
            -0.003,
            -0.014,
            0.0,
            0.25,
            "a against b: no difference shown: -0.3 points [-1.4, 0.0], McNemar p 0.250",
        ),
        (0.018, 0.009, 0.027, 1e-5, "a beats b by 1.8 points [0.9, 2.7], McNemar p < 0.001"),
    ],
)
def test_the_sentence_says_no_more_than_the_interval(value, low, high, p, text):
    interval = Interval(low, high, "images", 9)
    assert paired.sentence(paired.Difference("a", "b", value, interval, 1, p)) == text


def rows(**accuracies) -> dict:
    scores = [(name, {"accuracy": value, "n": 4}) for name, value in accuracies.items()]
    return {
        "rungs": [
            {"name": name, "seed": seed, "validation": s} for name, s in scores for seed in (0, 1)
        ]
    }


def test_each_rung_against_the_one_before_and_the_best_against_scratch(said):
    results = rows(scratch=0.25, features=0.9, frozen=0.5, old=1.0, finetune=0.75)
    predictions = {
        name: said([[1, 0, 1, 0]] * 2, seeds=(0, 1))
        for name in ("scratch", "features", "frozen", "finetune")
    }
    pairs = [(each.rung, each.against) for each in paired.differences(results, predictions)]
    assert pairs == [("features", "scratch"), ("frozen", "features"), ("finetune", "frozen")]
    results = rows(scratch=0.25, features=0.5, frozen=0.9)
    pairs = [(each.rung, each.against) for each in paired.differences(results, predictions)]
    assert pairs == [("features", "scratch"), ("frozen", "features"), ("frozen", "scratch")]
    assert paired.differences(results, {}) == []


def test_only_shared_seeds_are_compared(said):
    """Seed 1 of one with seed 1 of the other: three of four images against one."""
    one = said([[0, 0, 0, 0], [1, 1, 1, 0]], seeds=(0, 1))
    other = said([[1, 0, 0, 0], [1, 1, 1, 1]], seeds=(1, 2))
    found = paired.compare("a", "b", one, other)
    assert found is not None
    assert (found.value, found.seeds, found.p) == (0.5, 1, 0.5)
    assert paired.compare("a", "b", one, said([[1, 1, 1, 1]], seeds=(7,))) is None
