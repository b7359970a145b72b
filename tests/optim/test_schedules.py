import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import optax
import pytest

from tljax.errors import InputError
from tljax.optim.schedules import (
    Cyclic,
    OneCycle,
    OneCycleMomentum,
    Piecewise,
    Scaled,
    Schedule,
    Sweep,
    WarmRestarts,
    WarmupCosine,
    WarmupLinear,
    resolve,
)


def test_a_constant_stays():
    rate = resolve(3e-4, steps=10)
    assert [rate(step) for step in (0, 5, 9)] == [3e-4] * 3


@pytest.mark.parametrize("steps", [20, 7])
def test_warm_up_then_cosine_by_formula(steps):
    """A line through nothing before the first step, the peak after the warm-up,
    a cosine down to nothing.
    """
    rate, rising = resolve(WarmupCosine(0.8, warmup=0.25), steps=steps), math.ceil(0.25 * steps)
    for step in range(steps):
        done = step + 1
        part = (done - rising) / (steps - rising)
        expected = (
            0.8 * done / rising if done <= rising else 0.8 * (1 + math.cos(math.pi * part)) / 2
        )
        assert rate(step) == pytest.approx(expected, abs=1e-7)
    assert rate(rising - 1) == pytest.approx(0.8)


def test_the_shortest_stages_move():
    assert resolve(WarmupCosine(0.8), steps=1)(0) == pytest.approx(0.8)
    assert resolve(WarmupCosine(0.8), steps=2)(0) == pytest.approx(0.8)


# What PyTorch gives at each step, made with torch 2.13.0 (CPU, float64) and
# SGD(lr=1.0, momentum=0.9):
#     for _ in range(steps): keep(opt.param_groups[0]["lr"], ["momentum"]); opt.step(); sched.step()
# Cyclic: CyclicLR(opt, 0.1, 0.9, ...), momentum 0.8 to 0.9 against the rate. Restarts: the group's
# rate set to 0.8, then CosineAnnealingWarmRestarts(opt, ...). One cycle:
# OneCycleLR(opt, 0.8, total_steps=steps, ...). Their options:
#     triangular: step_size_up=4; uneven: step_size_up=3, step_size_down=7;
#     triangular2, exp_range: step_size_up=4, mode=..., gamma=0.97; restarts: 7;
#     growing: 4, T_mult=2, eta_min=0.05; own: pct_start=0.45, div_factor=10,
#     final_div_factor=100, base_momentum=0.8, max_momentum=0.9.
PYTORCH = json.loads((Path(__file__).parent / "pytorch_schedules.json").read_text())
OWN = {"pct_start": 0.45}
LIKE_PYTORCH = [
    ("triangular", "rate", Cyclic(0.1, 0.9, cycle_steps=8)),
    ("triangular", "momentum", Cyclic(0.9, 0.8, cycle_steps=8)),
    ("triangular", "rate", Cyclic(0.1, 0.9, cycles=30 / 8)),
    ("triangular uneven", "rate", Cyclic(0.1, 0.9, cycles=3, rising=0.3)),
    ("triangular2", "rate", Cyclic(0.1, 0.9, mode="triangular2", cycle_steps=8)),
    ("triangular2", "momentum", Cyclic(0.9, 0.8, mode="triangular2", cycle_steps=8)),
    ("exp_range", "rate", Cyclic(0.1, 0.9, mode="exp_range", cycle_steps=8, gamma=0.97)),
    ("restarts", "rate", WarmRestarts(0.8, cycle_steps=7)),
    ("restarts growing", "rate", WarmRestarts(0.8, low=0.05, cycle_steps=4, cycle_mult=2)),
    ("one cycle", "rate", OneCycle(0.8)),
    ("one cycle", "momentum", OneCycleMomentum()),
    ("one cycle own", "rate", OneCycle(0.8, div=10, final_div=100, **OWN)),
    ("one cycle own", "momentum", OneCycleMomentum(high=0.9, low=0.8, **OWN)),
    ("one cycle short", "rate", OneCycle(0.8)),
    ("one cycle short", "momentum", OneCycleMomentum()),
]


@pytest.mark.parametrize(("case", "what", "schedule"), LIKE_PYTORCH)
def test_equal_to_pytorch_at_every_step(case, what, schedule):
    expected = PYTORCH[case][what]
    value = resolve(schedule, steps=len(expected))
    np.testing.assert_allclose(
        [value(step) for step in range(len(expected))], expected, rtol=1e-12, atol=1e-16
    )


def values(schedule, steps):
    value = resolve(schedule, steps=steps)
    return [value(step) for step in range(steps)]


def test_cycles_divide_the_stage():
    """Two and a half cycles of 8 steps end at the peak; triangular2's peaks halve."""
    found = values(Cyclic(0.0, 1.0, mode="triangular2", cycles=2.5), 20)
    assert found[:9] == [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0]
    assert found[12] == 0.5
    assert found[19] == pytest.approx(0.75 / 4)


def test_restarts_fill_the_stage_and_fall_on_whole_steps():
    """70 steps in cycles of 10, 20 and 40; 100 in three, the first and last of 33,
    the middle one of 34.
    """
    found = values(WarmRestarts(0.8, cycles=3, cycle_mult=2), 70)
    assert [step for step in range(70) if found[step] == 0.8] == [0, 10, 30]
    assert found[20] == pytest.approx(0.4)
    assert found[69] == pytest.approx(0.4 * (1 + math.cos(math.pi * 39 / 40)))
    assert [
        step for step, rate in enumerate(values(WarmRestarts(0.8, cycles=3), 100)) if rate == 0.8
    ] == [0, 33, 67]


def test_restarts_after_a_warm_up():
    """A quarter of 20 steps up a line through nothing before the first;
    then what 15 steps without warm-up have.
    """
    found = values(WarmRestarts(0.6, low=0.1, cycles=3, warmup=0.25), 20)
    np.testing.assert_allclose(found[:5], [0.1, 0.2, 0.3, 0.4, 0.5])
    assert found[5:] == values(WarmRestarts(0.6, low=0.1, cycles=3), 15)


def test_one_cycle_by_formula():
    """Up from a 25th, the turn at step 0.3 * 100 - 1 = 29, down to a 250,000th;
    momentum the other way.
    """
    rate, momentum = values(OneCycle(1.0), 100), values(OneCycleMomentum(), 100)
    low = 1 / 25 / 1e4
    assert rate[0] == pytest.approx(1 / 25)
    assert rate[10] == pytest.approx(1 - (1 - 1 / 25) * (1 + math.cos(math.pi * 10 / 29)) / 2)
    assert (rate[29], rate[64], rate[99]) == pytest.approx((1, (1 + low) / 2, low))
    assert momentum[10] == pytest.approx(0.85 + 0.1 * (1 + math.cos(math.pi * 10 / 29)) / 2)
    assert (momentum[0], momentum[29], momentum[64], momentum[99]) == pytest.approx(
        (0.95, 0.85, 0.9, 0.95)
    )


@pytest.mark.parametrize(("steps", "warmup"), [(20, 0.25), (7, 0.25), (9, 0.0)])
def test_warm_up_then_a_line_equals_optax(steps, warmup):
    rising = math.ceil(warmup * steps)
    lines = [
        optax.linear_schedule(0.0, 0.8, max(rising, 1)),
        optax.linear_schedule(0.8, 0.2, steps - rising),
    ]
    expected = optax.join_schedules(lines, [rising])(np.arange(1, steps + 1))
    np.testing.assert_allclose(
        values(WarmupLinear(0.8, warmup=warmup, final=0.2), steps), expected, rtol=1e-5
    )


def test_restarts_equal_optax_after_a_warm_up():
    """Its warm-up starts one step earlier, at nothing; from the peak on they are one."""
    cycles = [
        {"init_value": 0.8, "peak_value": 0.8, "warmup_steps": 0, "decay_steps": n}
        for n in (5, 10, 20)
    ]
    expected = [float(optax.sgdr_schedule(cycles)(step)) for step in range(35)]
    found = values(WarmRestarts(0.8, cycles=3, cycle_mult=2, warmup=0.125), 40)
    np.testing.assert_allclose(found[5:], expected, atol=1e-7)


def test_pieces_are_numbers_or_schedules_over_their_own_steps():
    assert values(Piecewise((3.0, 2.0, 1.0), (0.29, 0.6)), 10) == [3.0] * 3 + [2.0] * 3 + [1.0] * 4
    assert values(Piecewise((3.0, 2.0)), 5) == [3.0] * 2 + [2.0] * 3
    whole = Piecewise((Sweep(1, 5, linear=True), WarmRestarts(0.8, cycles=1)))
    assert values(whole, 10) == [1, 2, 3, 4, 5, *values(WarmRestarts(0.8, cycles=1), 5)]


def test_a_sweep_from_low_to_high():
    np.testing.assert_allclose(values(Sweep(1e-4, 1.0), 5), [1e-4, 1e-3, 1e-2, 1e-1, 1])
    assert values(Sweep(1, 2, linear=True), 5) == [1, 1.25, 1.5, 1.75, 2]
    assert values(Sweep(1e-4, 1.0), 1) == [1e-4]


SCHEDULES = [schedule for _, _, schedule in LIKE_PYTORCH]
SCHEDULES += [
    WarmRestarts(0.8, cycles=7, cycle_mult=3, warmup=0.9),
    WarmupLinear(0.8),
    Sweep(1e-3, 1),
]
SCHEDULES += [Piecewise((0.3, OneCycle(0.8), 0.1)), Piecewise((1, 2), (0.001,)), WarmupCosine(0.8)]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedules_are_values_with_a_value_at_any_step(schedule):
    """Hashed, equal to a copy, and a finite number in the shortest stages and past the end."""
    assert isinstance(schedule, Schedule)
    assert hash(schedule) == hash(replace(schedule))
    for steps in (1, 2, 3, 11):
        value = schedule(steps)
        found = [value(step) for step in range(steps + 5)]
        assert all(isinstance(x, int | float) and math.isfinite(x) for x in found)


@pytest.mark.parametrize(
    "schedule", [OneCycle(0.8), WarmRestarts(0.8, cycles=3), WarmupLinear(0.8)], ids=repr
)
def test_a_stage_of_one_step_moves(schedule):
    assert resolve(schedule, steps=1)(0) == pytest.approx(0.8)


def test_a_schedule_is_cheap_to_ask():
    """A hundred thousand steps of each in the time of some hundred calls of optax's,
    which take 0.2 ms each.
    """
    schedules = [s for s in SCHEDULES if not isinstance(s, WarmupCosine)]
    functions = [resolve(schedule, steps=100_000) for schedule in schedules]
    began = time.process_time()
    for function in functions:
        for step in range(0, 100_000, 50):
            function(step)
    assert (time.process_time() - began) / (2_000 * len(functions)) < 5e-5


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Cyclic(0.1, 0.9), "give cycles .* or cycle_steps, one; found neither"),
        (lambda: WarmRestarts(0.1, cycles=2, cycle_steps=5), "found cycles=2 and cycle_steps=5"),
        (lambda: Cyclic(0.1, 0.9, cycles=0), "cycles must be a finite number above 0, found 0"),
        (lambda: Cyclic(0.1, 0.9, cycle_steps=2.5), "cycle_steps must be whole, found 2.5"),
        (lambda: WarmRestarts(0.1, cycles=2.5), "cycles must be a whole number, found 2.5"),
        (
            lambda: WarmRestarts(0.1, cycles=2, cycle_mult=0.5),
            "cycle_mult must be 1 or more, found 0.5",
        ),
        (
            lambda: WarmRestarts(0.1, cycles=2, warmup=2),
            "warmup must be a finite number from 0 to 1, found 2",
        ),
        (
            lambda: Cyclic(0.1, 0.9, mode="square", cycles=2),
            "one of triangular, .*, found 'square'",
        ),
        (lambda: Cyclic(0.1, 0.9, gamma=0.9, cycles=2), "gamma below 1 goes with exp_range"),
        (lambda: Cyclic(0.1, 0.9, mode="exp_range", cycles=2), "gamma below 1 goes with exp_range"),
        (lambda: Cyclic(0.1, 0.9, rising=1.0, cycles=2), "rising must be above 0 and below 1"),
        (lambda: OneCycle(float("nan")), "OneCycle: peak must be a finite number, found nan"),
        (lambda: OneCycle(0.1, div=0), "div must be a finite number above 0, found 0"),
        (lambda: OneCycleMomentum(pct_start=1.1), "pct_start must be a finite number from 0 to 1"),
        (lambda: WarmupLinear("0.1"), "peak must be a finite number, found '0.1'"),
        (
            lambda: Piecewise((1.0, 2.0), (0.5, 0.7)),
            "2 values need 1 boundaries that increase between 0 and 1",
        ),
        (lambda: Piecewise((1.0, 2.0, 3.0), (0.7, 0.5)), "increase between 0 and 1"),
        (lambda: Piecewise([1.0]), "values must be a tuple"),
        (lambda: Sweep(1.0, 0.1), "expected 0 < low < high"),
        (lambda: Sweep(0.0, 0.1), "expected 0 < low < high"),
        (lambda: resolve("find", steps=3), "a number or a schedule .*, found 'find'"),
        (lambda: resolve(optax.linear_schedule(1, 0, 5), steps=3), "a number or a schedule"),
        (lambda: resolve(WarmupCosine, steps=3), "a number or a schedule"),
    ],
)
def test_mistakes_are_named(make, told):
    with pytest.raises(InputError, match=told):
        make()


def test_scaled_rises_from_the_value_to_its_multiple():
    """Over the first half of 8 steps from 1 to 4 times; then 4 times whatever the schedule says."""
    value = Scaled(0.1, 4.0, warmup=0.5)(8)
    np.testing.assert_allclose(
        [value(i) for i in range(8)], [0.175, 0.25, 0.325, 0.4, 0.4, 0.4, 0.4, 0.4]
    )
    line = Scaled(WarmupLinear(1.0, warmup=0.0), 2.0)(4)
    np.testing.assert_allclose([line(i) for i in range(4)], [1.5, 1.0, 0.5, 0.0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"factor": 0.0}, "Scaled: factor must be a finite number above 0, found 0.0"),
        (
            {"factor": 2.0, "warmup": 1.5},
            "Scaled: warmup must be a finite number from 0 to 1, found 1.5",
        ),
        ({"factor": 2.0, "value": "find"}, "a hyperparameter is a number or a schedule"),
    ],
)
def test_scaled_refuses(wrong, message):
    with pytest.raises(InputError, match=message):
        Scaled(**{"value": 0.1, **wrong})
