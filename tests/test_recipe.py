from dataclasses import replace

import pytest

from tljax import recipe
from tljax.config import HEAD_ONLY, TRAIN_ALL, Plan, Stage
from tljax.errors import InputError
from tljax.models import vgg
from tljax.optim import rules
from tljax.optim.schedules import OneCycle, OneCycleMomentum
from tljax.optim.transform import Optimizer
from tljax.train.segments import hyperparameters

STAGE = Stage("s", TRAIN_ALL, lr=1e-3, epochs=2)
PATHS = [f"base/{layer}/{leaf}" for layer in vgg.CONVS for leaf in ("kernel", "bias")] + [
    "head/fc1/kernel"
]


def rates(stage):
    """Multiplier of each path's rule; None where it is frozen.

    Every rule decides something, or `labels` refuses.
    """
    decided, multipliers = rules.labels(PATHS, stage.rules), dict(stage.rules)
    return {path: multipliers[decided[path]] for path in PATHS}


def test_freezing_leaves_the_head():
    assert recipe.freeze(STAGE).rules == HEAD_ONLY


@pytest.mark.parametrize("start", vgg.CONVS)
def test_unfreezing_trains_from_a_layer_on_each_block_slower_than_the_next(start):
    found = rates(recipe.unfreeze(STAGE, start=start, factor=2.0))
    assert found.pop("head/fc1/kernel") == 1.0
    for path, rate in found.items():
        layer = path.split("/")[1]
        trains = vgg.CONVS.index(layer) >= vgg.CONVS.index(start)
        assert rate == (2.0 ** (int(layer[5]) - 6) if trains else None), path


def test_unfreezing_needs_a_convolution():
    with pytest.raises(InputError, match="vgg16 has no layer 'block5_pool'; one of block1_conv1, "):
        recipe.unfreeze(STAGE, start="block5_pool")


def test_one_cycle_turns_the_momentum_the_other_way():
    stage = recipe.one_cycle(
        Stage("s", TRAIN_ALL, 1e-3, 2, optimizer=Optimizer("adam")), 0.1, pct_start=0.5
    )
    assert (stage.lr, stage.optimizer.momentum) == (
        OneCycle(0.1, pct_start=0.5),
        OneCycleMomentum(pct_start=0.5),
    )
    assert recipe.one_cycle(STAGE, 0.1).optimizer == STAGE.optimizer  # RMSprop has none


def test_fine_tuning_is_the_head_then_all_with_a_hundredth_in_the_first_block():
    head, whole = recipe.fine_tuning(epochs=5, lr=2e-3, freeze_epochs=2).stages
    assert (head.epochs, head.rules, head.lr) == (2, HEAD_ONLY, OneCycle(2e-3, pct_start=0.99))
    assert (whole.epochs, whole.lr) == (5, OneCycle(1e-3, div=5.0))
    found = rates(whole)
    assert found["head/fc1/kernel"] == 1.0
    assert found["base/block1_conv1/kernel"] == pytest.approx(0.01)


def test_fine_tuning_of_a_hundred_photographs_has_more_than_three_steps_an_epoch():
    assert [stage.steps_per_epoch(96) for stage in recipe.fine_tuning(epochs=5).stages] == [25, 25]
    assert [stage.steps_per_epoch(3200) for stage in recipe.fine_tuning(epochs=5).stages] == [
        100,
        100,
    ]


def test_gradual_unfreezing_goes_a_group_at_a_time_to_the_input():
    like = Stage("", TRAIN_ALL, 1e-3, 2, views=4)
    plan = recipe.gradual_unfreezing(like)
    first = [
        next((p.split("/")[1] for p, r in rates(s).items() if r is not None and "base" in p), None)
        for s in plan.stages
    ]
    assert first == [None, *(f"block{i}_conv1" for i in (5, 4, 3, 2, 1))]
    assert [stage.views for stage in plan.stages] == [4] * 5 + [None]  # at last nothing is frozen
    assert len(recipe.gradual_unfreezing(like, down_to="block4_conv1").stages) == 3
    assert recipe.gradual_unfreezing(like, down_to="block4") == recipe.gradual_unfreezing(
        like, down_to="block4_conv1"
    )
    with pytest.raises(
        InputError, match=r"down_to must be one of block1, .*, found 'block4_conv2'"
    ):
        recipe.gradual_unfreezing(like, down_to="block4_conv2")


def test_a_plan_has_stages_of_different_names():
    with pytest.raises(InputError, match="plan 'p': two stages are called 's'"):
        Plan("p", (STAGE, STAGE))
    with pytest.raises(InputError, match="plan 'p': expected one stage or more"):
        Plan("p", ())


def test_a_larger_batch_takes_a_larger_rate_and_as_many_images():
    """The linear rule: 32 to 128 is four times the rate after the warm-up,
    a quarter of the steps.
    """
    stage = Stage("s", HEAD_ONLY, lr=0.1, epochs=10, images_per_epoch=1280)
    large = recipe.scaled_batch(stage, 128)
    assert (stage.steps_per_epoch(900), large.steps_per_epoch(900)) == (40, 10)
    rate = hyperparameters(large, steps=100)["lr"]
    assert [rate(0), rate(4), rate(99)] == [pytest.approx(value) for value in (0.16, 0.4, 0.4)]
    small = hyperparameters(recipe.scaled_batch(stage, 8), steps=100)["lr"]
    assert [small(0), small(99)] == [pytest.approx(0.025)] * 2
    assert recipe.scaled_batch(stage, 32) == stage
    with pytest.raises(InputError, match='lr="find" finds the rate at any batch size'):
        recipe.scaled_batch(replace(stage, lr="find"), 64)
