import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from tljax import config
from tljax.config import PRESETS, RUNGS, Stage
from tljax.data.augment import Augment
from tljax.errors import InputError
from tljax.models import build
from tljax.optim import rules
from tljax.optim.objective import Objective
from tljax.tree import flatten

DECK = {  # the lecture: rate, epochs, batch, images an epoch (None: once around), dropout
    "scratch": (1e-4, 100, 32, 3200, 0.5),
    "features": (2e-5, 30, 20, None, 0.5),
    "frozen": (2e-5, 30, 32, 3200, 0.0),
    "finetune": (1e-5, 100, 32, 3200, 0.0),
    "differential": (1e-5, 100, 32, 3200, 0.0),
}


@pytest.mark.parametrize(("preset", "in_sqrt"), [("deck-keras2", False), ("deck-keras3", True)])
def test_the_deck_presets_are_the_lecture(preset, in_sqrt):
    assert PRESETS[preset].keys() - DECK.keys() == {"linear"}  # beside the lecture: it has no rate
    for name in DECK:
        stage = PRESETS[preset][name]
        found = (stage.lr, stage.epochs, stage.batch_size, stage.images_per_epoch, stage.dropout)
        assert found == DECK[name]
        assert (stage.name, stage.optimizer.name, stage.optimizer.decay) == (name, "rmsprop", 0.9)
        assert (stage.optimizer.eps, stage.optimizer.eps_in_sqrt) == (1e-7, in_sqrt)
        assert stage.augment == (None if name == "features" else Augment())
        assert stage.views == (1 if name == "features" else None)


def test_the_deck_draws_100_batches_an_epoch_and_all_900_features():
    steps = {name: stage.steps_per_epoch(900) for name, stage in PRESETS["deck-keras3"].items()}
    assert steps == dict.fromkeys(RUNGS, 100) | {"features": 45, "linear": 45}


def test_the_augmentation_is_the_lectures():
    shear = math.degrees(0.2)
    assert Augment() == Augment(
        rotation_deg=40.0,
        width_shift=0.2,
        height_shift=0.2,
        shear_deg=shear,
        zoom=0.2,
        horizontal_flip=True,
    )


def test_every_preset_has_every_rung_in_order():
    for preset in PRESETS.values():
        assert tuple(preset) == tuple(config.NETWORKS) == RUNGS
        assert [stage.name for stage in preset.values()] == list(RUNGS)
    assert [RUNGS.index(after) for after in config.STARTS_FROM] == [4, 5]
    assert all(
        RUNGS.index(before) + 1 == RUNGS.index(after)
        for after, before in config.STARTS_FROM.items()
    )


@pytest.fixture(scope="module")
def shapes():
    """The parameters of each rung's network at 150 x 150 x 3, as shapes."""
    found = {}
    for name, network in config.NETWORKS.items():
        module = build.classifier(network, classes=2)
        found[name] = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 150, 150, 3)))[
            "params"
        ]
    return found


def count(leaves):
    return sum(math.prod(leaf.shape) for leaf in leaves.values())


def test_parameters_are_as_many_as_in_the_lecture(shapes):
    assert count(flatten(shapes["scratch"])) == 3_453_121
    for name in RUNGS[1:]:
        assert count(flatten(shapes[name]["base"])) == 14_714_688
        hidden = 4 * 4 * 512 * 256 + 256 + 257
        assert count(flatten(shapes[name]["head"])) == (
            4 * 4 * 512 + 1 if name == "linear" else hidden
        )


@pytest.mark.parametrize("preset", list(PRESETS))
def test_each_rung_trains_what_the_lecture_trains(shapes, preset):
    head, block5 = 2_097_665, 3 * (9 * 512 * 512 + 512)
    everything = 14_714_688 + head
    trained = {
        name: count(rules.split(shapes[name], stage.rules)[0])
        for name, stage in PRESETS[preset].items()
    }
    assert trained == {
        "scratch": 3_453_121,
        "linear": 4 * 4 * 512 + 1,
        "features": head,
        "frozen": head,
        "finetune": head + block5,
        "differential": everything,
    }


def test_differential_rates_fall_by_three_from_the_head_to_the_first_block(shapes):
    stage = PRESETS["deck-keras3"]["differential"]
    decided = rules.labels(flatten(shapes["differential"]), stage.rules)
    rates = {path: rules.multipliers(stage.rules)[label] for path, label in decided.items()}
    assert rates["head/fc1/kernel"] == 1.0
    for block in range(1, 6):
        assert rates[f"base/block{block}_conv1/kernel"] == pytest.approx(3.0 ** (block - 6))


def test_steps_of_an_epoch_are_rounded_and_at_least_one():
    stage = Stage("s", config.TRAIN_ALL, lr=1.0, epochs=1, batch_size=32)
    assert [stage.steps_per_epoch(n) for n in (1, 47, 49, 900)] == [1, 1, 2, 28]
    assert replace(stage, images_per_epoch=64).steps_per_epoch(900) == 2


def test_an_epoch_draws_so_many_images_at_least_and_more_photographs_make_it_longer():
    stage = Stage("s", config.TRAIN_ALL, lr=1.0, epochs=1, batch_size=32, least_images=1600)
    assert [stage.steps_per_epoch(n) for n in (96, 900, 1600, 3200)] == [50, 50, 50, 100]


def test_the_default_has_one_relative_rate_for_whatever_starts_from_a_base():
    stages = PRESETS["tuned"]
    based = [stages[name] for name in ("features", "frozen", "finetune", "differential")]
    assert {(stage.lr.peak, stage.optimizer) for stage in based} == {(1e-3, config.LAMB)}
    for preset in (
        "deck-keras2",
        "deck-keras3",
    ):  # the lecture's features stay raw, its rates absolute
        assert not any(stage.optimizer.trust_ratio for stage in PRESETS[preset].values())
        assert not any(config.network_of(rung, preset).feature_norm for rung in RUNGS)
    assert [config.network_of(rung, "tuned").feature_norm for rung in RUNGS] == [False, *[True] * 5]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("images_per_epoch", -1),
        ("least_images", 0),
        ("views", 0),
        ("dropout", 1.5),
        ("dropout", math.nan),
        ("lr", 0.0),
        ("lr", -1e-3),
        ("lr", math.nan),
        ("lr", math.inf),
    ],
)
def test_a_stage_that_cannot_be_is_refused_by_name(field, value):
    stage = PRESETS["tuned"]["frozen"]
    with pytest.raises(InputError, match=rf"^stage 'frozen': {field} must be .*, found {value}$"):
        replace(stage, **{field: value})


def test_linear_is_solved_on_the_features_of_the_rung_after_it():
    """The same passes of the base: one store serves both."""
    for preset in PRESETS.values():
        linear, features = preset["linear"], preset["features"]
        assert (linear.solver, features.solver) == ("lbfgs", "steps")
        for field in ("rules", "views", "augment", "batch_size", "features_dtype"):
            assert getattr(linear, field) == getattr(features, field)
    assert set(config.STEPPED) == set(RUNGS) - {"linear"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"solver": "newton"}, "solver must be steps or lbfgs, found newton"),
        ({"views": None}, "views must be 1 and augment None where the head is solved, found None"),
        (
            {"augment": Augment()},
            "views must be 1 and augment None where the head is solved, found 1",
        ),
        ({"rules": config.rules_of("finetune")}, "rules must be the head's alone, found .*"),
        ({"dropout": 0.5}, "dropout must be 0.0 where the head is solved, found 0.5"),
        ({"ema": 0.9}, "ema must be None where the head is solved, found 0.9"),
        ({"patience": 2}, "patience must be None where the head is solved, found 2"),
        (
            {"objective": Objective(mixup=0.2)},
            "objective must be Objective.* where the head is solved, found .*",
        ),
    ],
)
def test_what_cannot_be_solved_is_refused_by_name(change, said):
    with pytest.raises(InputError, match=f"^stage 'linear': {said}$"):
        replace(PRESETS["tuned"]["linear"], **change)


@pytest.mark.parametrize("field", ["optimizer", "objective", "augment"])
def test_something_of_another_library_is_refused_at_once(field):
    with pytest.raises(InputError, match=rf"^stage 'mine': {field} must be tljax's own .*, found"):
        Stage("mine", rules=config.HEAD_ONLY, lr=1e-3, epochs=1, **{field: lambda x: x})
