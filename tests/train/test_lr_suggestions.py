"""The four suggestions on curves whose answers are known."""

import numpy as np

from tljax.train.lr_suggestions import (
    slide,
    smooth,
    steepest,
    suggestions,
    tenth_of_minimum,
    valley,
)

RATES = 10.0 ** np.arange(-6, 4)  # ten steps
LOSSES = np.array([2.0, 2.1, 2.0, 1.9, 1.4, 1.2, 1.1, 1.3, 3.0, 2.9])


def test_the_rules_by_hand():
    """Steepest from step 3 to 4.

    Lowest at 6. The longest descent has 6 losses (2.1 ... 1.1): 6 - 6 + 2 + 1 = 3.
    """
    assert steepest(RATES, LOSSES) == RATES[3]
    assert tenth_of_minimum(RATES, LOSSES) == RATES[6] / 10
    assert valley(RATES, LOSSES) == RATES[3]


def test_steepest_is_by_factor_of_the_rate():
    """1 down for a doubling falls faster than 2 down for a factor of 10."""
    assert steepest(np.array([1e-3, 1e-2, 2e-2]), np.array([5.0, 3.0, 2.0])) == 1e-2


def test_a_valley_may_have_bumps_and_the_first_of_two_counts():
    """5 4 3 2 goes through bumps and ends at step 5;
    4.5 4.4 4.3 at step 9 is with 6 before it as long, and later.
    """
    losses = np.array([5.0, 4.0, 6.0, 3.0, 3.5, 2.0, 4.6, 4.5, 4.4, 4.4])
    assert valley(RATES, losses) == RATES[5 - 4 + 1 + 0]
    assert valley(RATES, np.arange(10.0)) == RATES[0]  # no descent at all
    assert valley(RATES[:6], np.arange(6.0, 0, -1)) == RATES[5 - 6 + 2 + 1]  # nothing else


def test_slide_stops_where_the_slopes_agree():
    """Flat for 30 steps, then the loss climbs with slope 0.1: 15 steps apart,
    slopes differ while one end is flat.
    """
    rates = np.arange(1.0, 51.0)
    losses = np.maximum(0.0, 0.1 * (np.arange(50) - 29.5))
    # From the end both slopes are 0.1 (at 34 and 49): nothing differs, the first interval's left
    # end it is.
    assert slide(rates, losses) == rates[34]
    # Cut to 40 steps: from (24, 39) down to the last pair that differs, (14, 29), where the climb
    # just begins.
    assert slide(rates[:40], losses[:40]) == rates[14]


def test_ends_are_left_out_unless_little_remains():
    """A tenth of the planned steps and the last five; of a sweep that ended at once, all."""
    rates, losses = np.geomspace(1e-5, 1, 40), np.linspace(2, 1, 40)
    line = losses.copy()
    losses[1], losses[36] = -9.0, -8.0
    assert suggestions(rates, losses, steps=40, losses=line)["minimum/10"] == rates[34] / 10
    short = suggestions(rates[:10], losses[:10], steps=40, losses=line[:10])
    assert short["minimum/10"] == rates[1] / 10
    assert set(suggestions(rates[:2], losses[:2], steps=40)) == {
        "steepest",
        "minimum/10",
        "valley",
        "slide",
    }
    assert suggestions(rates[:1], losses[:1], steps=40) == {}


def test_a_descent_after_the_network_broke_is_no_valley():
    """Down from 1 to 0.8 in 30 steps, then a spike to 1.5 and a longer way back,
    as a network does that died.
    """
    rates = np.geomspace(1e-7, 10, 100)
    losses = np.concatenate([np.full(20, 1.0), np.linspace(1, 0.8, 30), np.linspace(1.5, 0.9, 50)])
    found = suggestions(rates, losses, steps=100)
    assert found["valley"] == rates[10 + 39 - 30 + 10 + 5]
    assert max(found.values()) <= rates[50]
    # A rise of less than a tenth is noise.
    losses[50:] = np.linspace(1.05, 0.5, 50)
    assert suggestions(rates, losses, steps=100)["valley"] > rates[50]


def test_every_suggestion_is_a_rate_of_the_sweep_or_a_tenth_of_one():
    rng = np.random.default_rng(0)
    for count in (2, 3, 5, 16, 17, 100):
        rates = np.geomspace(1e-7, 10, count)
        losses = np.linspace(9, 1, count) + 0.1 * rng.normal(size=count)
        found = suggestions(rates, losses, steps=100)
        assert found.pop("minimum/10") in rates / 10
        assert all(rate in rates for rate in found.values())


def noisy(level, *, seed=0, steps=100, deviation=0.05):
    return level * (1 + deviation * np.random.default_rng(seed).normal(size=steps))


def found_on(losses):
    rates = np.geomspace(1e-7, 10, len(losses))
    smoothed = np.array([average for _, average in smooth(losses.tolist())])
    return suggestions(rates, smoothed, steps=len(losses), losses=losses)


def test_a_curve_that_does_not_fall_suggests_nothing():
    """Constant, noise about any level, climbing, and a head that has learnt all by heart."""
    steps = np.arange(100)
    flat = [np.full(100, level) for level in (1e-6, 0.7, 0.0)]
    noise = [noisy(level, seed=seed) for level in (1e-6, 0.7, 4.6) for seed in range(20)]
    climbing = [noisy(0.3) + 0.01 * steps, noisy(0.3) + np.exp(steps / 20) / 100]
    learnt = [1e-6 * 0.9**steps, 1e-4 / (1 + steps)]
    assert [found_on(losses) for losses in (*flat, *climbing, *learnt)] == [{}] * 7
    assert sum(bool(found_on(losses)) for losses in noise) == 0
    constant = np.full(100, 1e-6)
    assert suggestions(np.geomspace(1e-7, 10, 100), constant, steps=100) == {}


def test_a_curve_that_falls_beyond_its_noise_suggests_rates():
    """A tenth of the loss in noise, half of it lost between steps 50 and 70, then divergence."""
    shape = np.interp(np.arange(100), [50, 70, 85, 99], [0.7, 0.35, 0.35, 5.0])
    for seed in range(20):
        found = found_on(shape * noisy(1.0, seed=seed, deviation=0.1))
        assert 1e-5 < found["valley"] < 1
