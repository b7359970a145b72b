"""Intervals against values printed by others."""

import math

import numpy as np
import pytest

from tljax.report.stats import intervals

# Student 1908, Biometrika 6:20: hours of sleep gained under the second drug over the first. R's
# t.test(extra ~ group, data = sleep, paired = TRUE) prints the mean and the interval below.
SLEEP = (1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4)


def test_t_interval_of_students_sleep_data():
    interval = intervals.t_interval(SLEEP)
    assert intervals.mean(SLEEP) == pytest.approx(1.58)
    assert intervals.sample_std(SLEEP) == pytest.approx(1.229995, abs=1e-6)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)
    assert (interval.over, interval.count) == ("seeds", 10)


def test_t_interval_of_two_values_uses_the_tabled_quantile():
    interval = intervals.t_interval([1.0, 3.0])  # mean 2, s / sqrt(2) = 1, t(0.975, 1) = 12.706
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((2 - 12.706, 2 + 12.706), abs=1e-3)


@pytest.mark.parametrize("values", [[], [0.9], [0.9, math.nan], [0.9, math.inf]])
def test_no_interval_over_seeds_where_it_is_undefined(values):
    assert intervals.t_interval(values) is None


def test_one_value_has_no_standard_deviation_and_nan_is_not_dropped():
    assert math.isnan(intervals.sample_std([0.9]))
    assert math.isnan(intervals.mean([0.9, math.nan]))


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_is_method_3_of_newcombe_1998_table_i(right, images, low, high):
    interval = intervals.wilson_interval(right / images, images=images)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)
    assert (interval.over, interval.count) == ("images", images)


def test_wilson_interval_stays_in_bounds_and_needs_images():
    perfect = intervals.wilson_interval(1.0, images=20)
    assert perfect is not None
    assert perfect.high == 1.0
    assert perfect.low == pytest.approx(1 - 0.1611, abs=5e-5)
    assert intervals.wilson_interval(0.5, images=0) is None
    assert intervals.wilson_interval(math.nan, images=20) is None


def test_accuracy_interval_is_over_images_for_one_seed_and_over_seeds_from_two():
    one, two = (intervals.accuracy_interval(a, images=263) for a in ([81 / 263], [0.90, 0.94]))
    assert one is not None
    assert two is not None
    assert one.over == "images"
    assert two.over == "seeds"
    assert two.low == pytest.approx(0.92 - 12.7062 * 0.02, abs=1e-5)
    assert two.high == 1.0  # 1.174 before the cut
    assert intervals.accuracy_interval([0.9, math.nan], images=263) is None


def test_together_puts_unequal_seeds_on_one_grid():
    seeds = {
        0: {"epoch": np.array([1, 2, 3]), "loss": np.array([3.0, 2.0, 1.0])},
        4: {"epoch": np.array([1, 3]), "loss": np.array([5.0, np.inf])},
    }
    epochs, values = intervals.together(seeds, "loss")
    np.testing.assert_array_equal(epochs, [1, 2, 3])
    np.testing.assert_array_equal(values, [[3.0, 2.0, 1.0], [5.0, np.nan, np.nan]])


def test_bootstrap_interval_over_images():
    """Of 0 and 1 in 400 images, a quarter of them 1:
    near the normal interval 0.25 -+ 1.96 sqrt(0.1875 / 400).
    """
    interval = intervals.bootstrap_interval(np.repeat([1.0, 0.0], [100, 300]))
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.2076, 0.2924), abs=4e-3)
    assert (interval.over, interval.count) == ("images", 400)
    for values in ([1.0], [2.0, 2.0], [1.0, math.nan]):
        assert intervals.bootstrap_interval(np.array(values)) is None


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("accuracies", [[0.99, 0.6, 0.7, 0.98, 0.95], [0.0, 0.02, 0.4, 0.1, 0.0]])
def test_an_interval_of_a_share_stays_within_0_and_1(accuracies, count):
    values = accuracies[:count]
    interval = intervals.accuracy_interval(values, images=100)
    free = intervals.t_interval(values)
    assert interval is not None
    assert free is not None
    assert 0 <= interval.low <= intervals.mean(values) <= interval.high <= 1
    assert (interval.low, interval.high) == (max(0, free.low), min(1, free.high))
    assert interval.over == "seeds"


def test_seeds_that_agree_say_nothing_of_the_spread():
    together = intervals.accuracy_interval([0.95, 0.95, 0.95], images=20)
    assert together == intervals.wilson_interval(0.95, images=20)
