import math

import pytest

from tljax.optim.schedules import WarmupCosine, resolve


def test_a_constant_stays():
    rate = resolve(3e-4, steps=10)
    assert [rate(step) for step in (0, 5, 9)] == [3e-4] * 3


@pytest.mark.parametrize("steps", [20, 7])
def test_warm_up_then_cosine_by_formula(steps):
    """A line through nothing before the first step, the peak after the warm-up, a cosine down to nothing."""
    rate, rising = resolve(WarmupCosine(0.8, warmup=0.25), steps=steps), math.ceil(0.25 * steps)
    for step in range(steps):
        done = step + 1
        part = (done - rising) / (steps - rising)
        expected = 0.8 * done / rising if done <= rising else 0.8 * (1 + math.cos(math.pi * part)) / 2
        assert rate(step) == pytest.approx(expected, abs=1e-7)
    assert rate(rising - 1) == pytest.approx(0.8)


def test_the_shortest_stages_move():
    assert resolve(WarmupCosine(0.8), steps=1)(0) == pytest.approx(0.8)
    assert resolve(WarmupCosine(0.8), steps=2)(0) == pytest.approx(0.8)
