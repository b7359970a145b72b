"""Points between classifiers, soups, and what judges them."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.config import Stage
from tljax.data.augment import Augment, Photometric
from tljax.data.preprocess import UNIT
from tljax.errors import InputError
from tljax.methods import interpolate, judge, movement, soups
from tljax.methods.judge import Judge
from tljax.models import build
from tljax.models.build import Network
from tljax.train.loop import History
from tljax.train.outcome.trained import Trained
from tljax.train.step import State
from tljax.tree import flatten, nest

NETWORK = Network(options={"width": 0.05}, hidden=4)
CLASSES = ("a", "b", "c")
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)


def classifier(params):
    last = {"epoch": 1, "step": 1, "seed": 0, "rung": "r"}
    last |= {"train": {"loss": 0.1, "accuracy": 1.0}}
    last |= {"validation": {"loss": 0.2, "accuracy": 0.5, "n": 5}}
    state, history = State(jnp.int32(1), params, {}, {}), History([last])
    about = {"classes": CLASSES, "size": 32, "rung": "r", "seed": 0}
    return Trained(state, history, NETWORK, UNIT, 1, 1, **about)


def params(seed=0, *, moved=()):
    """Parameters; leaves whose path begins with one of `moved` are drawn by the seed."""
    module = build.classifier(NETWORK, classes=3)
    first = flatten(build.init(module, key=jax.random.key(0), size=32)["params"])
    rng = np.random.default_rng(seed)
    return nest(
        "test",
        {
            path: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32)
            if path.startswith(tuple(moved))
            else leaf
            for path, leaf in first.items()
        },
    )


LATE = ("base/block5", "head")
ONE, OTHER = (classifier(params(seed, moved=LATE)) for seed in (1, 2))


def test_the_ends_have_the_bits_of_the_rungs_and_the_middle_is_their_mean():
    before, after = (judge.variables_of(each) for each in (ONE, OTHER))
    before["params"]["head"]["fc1"]["bias"] = np.array([-0.0, 1e-45, 3e38, 1.0], np.float32)
    for share, end in ((0.0, before), (1.0, after)):
        found = flatten(interpolate.between(before, after, share))
        for path, leaf in flatten(end).items():
            assert found[path].tobytes() == np.asarray(leaf).tobytes(), path
    a, b = flatten(before), flatten(after)
    for path, leaf in flatten(interpolate.between(before, after, 0.3)).items():
        mean = 0.7 * np.asarray(a[path], np.float64) + 0.3 * np.asarray(b[path], np.float64)
        np.testing.assert_array_equal(leaf, mean.astype(np.float32))


def test_a_soup_of_one_is_itself():
    found = judge.mixed([judge.variables_of(ONE)] * 2, judge.mean_of(2, [1]))
    for path, leaf in flatten(judge.variables_of(ONE)).items():
        assert flatten(found)[path].tobytes() == np.asarray(leaf).tobytes()


@pytest.mark.parametrize("room", [None, 0])  # on the device together, or in turns
def test_the_judge_runs_shared_layers_once_and_agrees_with_each_network(room):
    judging = Judge([ONE, OTHER], room=room)
    assert judging.shared == "block4_pool"
    weights = np.array([[1, 0], [0, 1], [0.25, 0.75]])
    found = judging.logits(IMAGES, weights)
    module = build.classifier(NETWORK, classes=3)
    for row, logits in zip(weights, found, strict=True):
        mixture = judge.mixed([judge.variables_of(each) for each in (ONE, OTHER)], row)
        expected = module.apply(mixture, UNIT(jnp.asarray(IMAGES)))[0]
        np.testing.assert_allclose(logits, expected, rtol=2e-4, atol=1e-5)
    assert Judge([ONE, classifier(params(3, moved=("base", "head")))]).shared is None
    assert Judge([ONE]).shared == "block5_pool"


def test_classifiers_of_other_networks_are_refused():
    other = replace(OTHER, network=replace(NETWORK, hidden=5))
    with pytest.raises(InputError, match="expected network as of r, seed 0"):
        Judge([ONE, other])
    with pytest.raises(InputError, match="weights: expected 2, found 1"):
        judge.mixed([{}, {}], [1.0])


def test_a_mixture_is_a_classifier_that_predicts(tmp_path):
    made = interpolate.named(OTHER, [ONE, OTHER], [0.5, 0.5], rung="r-r-0.5")
    logits = Judge([ONE, OTHER]).logits(IMAGES, np.array([[0.5, 0.5]]))[0]
    labels = logits.argmax(1).astype(np.int32)
    made = interpolate.scored(made, logits, labels)
    assert made.row()["validation"]["accuracy"] == 1.0
    from tljax.runs.predict import load_run

    loaded = load_run(made.save(tmp_path / "between"))
    assert loaded.rung == "r-r-0.5"
    shown = loaded(IMAGES)
    np.testing.assert_array_equal(shown.argmax(1), labels)


def test_the_greedy_soup_adds_what_does_not_hurt():
    values = {(0,): 0.7, (1,): 0.9, (2,): 0.8, (1, 2): 0.85, (1, 0): 0.9}
    assert soups.greedy([0.7, 0.9, 0.8], lambda chosen: values[tuple(chosen)]) == [0, 1]
    assert soups.greedy([0.5], lambda chosen: pytest.fail("nothing to add")) == [0]


def test_movement_is_relative_to_the_start():
    start = {
        "conv": {"kernel": np.array([3.0, 0.0]), "bias": np.array([4.0])},
        "still": {"b": [2.0]},
    }
    now = {"conv": {"kernel": np.array([3.0, 1.0]), "bias": np.array([4.0])}, "still": {"b": [2.0]}}
    assert movement.moved(now, start) == {"conv": pytest.approx(1 / 5), "still": 0.0}
    assert list(movement.moved(now, start, order=["still", "absent"])) == ["still", "conv"]
    with pytest.raises(InputError, match="expected the leaves of the start"):
        movement.moved({"conv": now["conv"]}, start)


def test_ingredients_are_augmented_in_two_ways():
    stage = Stage("finetune", ((".*", 1.0),), lr=1e-3, epochs=1, augment=Augment(zoom=0.1))
    ours, other = soups.augmented(stage)
    assert (ours, other.augment) == (stage, Augment(zoom=0.1, photometric=Photometric()))
    assert [each.augment for each in soups.augmented(other)] == [other.augment, stage.augment]
    with pytest.raises(InputError, match="expected one that augments photographs"):
        soups.augmented(replace(stage, augment=None))
