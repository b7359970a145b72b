"""Low-rank updates as the value of a rule: what trains, and the arithmetic, written out."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tljax.config.rungs import rules_of
from tljax.errors import InputError
from tljax.models.build import named
from tljax.optim import low_rank, rules, transform
from tljax.optim.rules import LowRank
from tljax.optim.transform import Optimizer
from tljax.tree import flatten

PARAMS = {
    "base": {
        "block5_conv1": {"kernel": jnp.ones((3, 3, 2, 4)), "bias": jnp.ones(4)},
        "block4_conv1": {"kernel": jnp.ones((3, 3, 2, 2)), "bias": jnp.ones(2)},
    },
    "head": {"fc1": {"kernel": jnp.ones((2, 2))}},
}
RULES = (("head/.*", 1.0), ("base/block5_.*", LowRank(2, rate=0.5)), ("base/.*", None))
DOWN, UP = (f"low_rank/base/block5_conv1/kernel/{side}" for side in ("down", "up"))


def drawn():
    return low_rank.with_factors(PARAMS, RULES, key=jax.random.key(0))


def test_the_rule_trains_factors_and_freezes_the_kernel_with_its_bias():
    params = drawn()
    shapes = {path: leaf.shape for path, leaf in flatten(params).items() if "low_rank" in path}
    assert shapes == {DOWN: (18, 2), UP: (2, 4)}
    trainable, frozen = rules.split(params, RULES)
    assert set(trainable) == {"head/fc1/kernel", DOWN, UP}
    assert "base/block5_conv1/kernel" in frozen
    assert rules.multipliers(RULES)["base/block5_.*"] == 0.5
    # What comes before reads nothing that moves; the layer itself does not stand still.
    for tree in (PARAMS, params):
        assert rules.frozen_layers(tree, RULES) == {"base/block4_conv1"}


def test_updates_start_as_nothing_and_without_the_rule_nothing_is_added():
    same = low_rank.merged(drawn())
    for path, leaf in flatten(PARAMS).items():
        np.testing.assert_array_equal(flatten(same)[path], leaf)
    plain = (("head/.*", 1.0), ("base/.*", None))
    assert low_rank.with_factors(PARAMS, plain, key=jax.random.key(0)) is PARAMS
    assert low_rank.merged(PARAMS) is PARAMS


def test_the_product_is_added_to_the_kernel_as_a_matrix():
    rng = np.random.default_rng(0)
    down, up = (rng.normal(size=shape).astype(np.float32) for shape in ((18, 2), (2, 4)))
    pair = {"base": {"block5_conv1": {"kernel": {"down": down, "up": up}}}}
    found = low_rank.merged({**PARAMS, "low_rank": pair})["base"]
    change = np.asarray(found["block5_conv1"]["kernel"]) - 1
    np.testing.assert_allclose(change[1, 2, 0], down[10] @ up, rtol=1e-4)  # (1 * 3 + 2) * 2 + 0
    assert np.linalg.matrix_rank(change.reshape(18, 4), tol=1e-4) == 2
    np.testing.assert_array_equal(found["block4_conv1"]["kernel"], 1)
    # The sum of outer products, each rounded: the bits do not depend on a machine's libraries.
    by_hand = down[:, :1] * up[:1] + down[:, 1:] * up[1:]
    expected = np.float32(1) + by_hand.reshape(3, 3, 2, 4)
    assert found["block5_conv1"]["kernel"].tobytes() == expected.tobytes()


def test_one_step_of_gradient_descent_is_that_of_the_formula():
    """Of `y = x (W + D U)` with U = 0: dU = D' x' g, dD = 0; W and what is below stay."""
    kernel = np.arange(6, dtype=np.float32).reshape(3, 2)
    params = {"base": {"dense": {"kernel": kernel}}, "head": {"scale": np.float32(1)}}
    chosen = (("head/.*", 1.0), ("base/.*", LowRank(1, rate=0.5)))
    params = low_rank.with_factors(params, chosen, key=jax.random.key(1))
    x, g = np.array([[1.0, 2.0, 3.0]], np.float32), np.array([[1.0, -1.0]], np.float32)
    trainable, frozen = rules.split(params, chosen)

    def dense(variables, x):
        return x @ variables["params"]["base"]["dense"]["kernel"]

    def loss(leaves):
        return (low_rank.through(dense)({"params": rules.merge(leaves, frozen)}, x) * g).sum()

    tx = transform.make(Optimizer("sgd", momentum=0.0), chosen, flatten(params))
    updates, _ = tx.update(
        jax.grad(loss)(trainable), tx.init(trainable), trainable, lr=jnp.float32(0.1)
    )
    after = optax.apply_updates(trainable, updates)
    down = np.asarray(trainable["low_rank/base/dense/kernel/down"])
    np.testing.assert_allclose(
        after["low_rank/base/dense/kernel/up"], -0.1 * 0.5 * down.T @ x.T @ g, rtol=1e-5
    )
    np.testing.assert_array_equal(after["low_rank/base/dense/kernel/down"], down)


def test_optimizer_state_of_factors_is_not_carried_into_another_stage():
    trainable, _ = rules.split(drawn(), RULES)
    tx = transform.make(Optimizer("adam"), RULES, flatten(drawn()))
    state = tx.init(trainable)
    ones = jax.tree.map(jnp.ones_like, state)
    for path, leaf in jax.tree_util.tree_leaves_with_path(transform.carry(ones, state)):
        assert leaf.any() != ("low_rank/" in jax.tree_util.keystr(path)), path


def test_parameters_without_factors_are_refused():
    with pytest.raises(InputError, match="expected factors of 'base/block5_conv1/kernel'"):
        transform.make(Optimizer("adam"), RULES, flatten(PARAMS))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ((("base/block9.*", LowRank(2)), (".*", 1.0)), "'base/block9.*' decides no parameter"),
        ((("base/.*bias", LowRank(2)), (".*", 1.0)), "'base/.*bias' is of low rank and decides no"),
        (((".*", LowRank(2)),), "expected kernels of the base, found 'head/fc1/kernel'"),
        (((".*", LowRank(0)),), "has rank 0; 1 or more"),
        (((".*", LowRank(2.0)),), "has rank 2.0; 1 or more"),
        (((".*", LowRank(2, rate=0.0)),), "has multiplier 0.0"),
    ],
)
def test_rules_of_low_rank_fail_loudly(bad, message):
    with pytest.raises(InputError, match=re.escape(message)):
        low_rank.with_factors(PARAMS, bad, key=jax.random.key(0))


@pytest.mark.parametrize(("base", "groups"), [("vgg16", 1), ("efficientnet-lite0", 3)])
def test_biases_alone_are_those_of_every_group_that_finetune_trains(base, groups):
    architecture = named(base)
    pattern = low_rank.biases(rules_of("finetune", base))[1][0]
    assert low_rank.updates(rules_of("finetune", base), 3)[1][1] == LowRank(3)
    trained = {
        group
        for group in architecture.groups
        for module in (m for cut in architecture.cuts if cut.group == group for m in cut.modules)
        if re.fullmatch(pattern, f"base/{module}/bias")
    }
    assert len(trained) == groups
    assert trained == set(architecture.groups[-groups:])
    assert not re.fullmatch(pattern, f"base/{architecture.modules[-1]}/kernel")
