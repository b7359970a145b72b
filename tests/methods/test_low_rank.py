import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.config.rungs import rules_of
from tljax.errors import InputError
from tljax.methods import low_rank
from tljax.models.build import named
from tljax.tree import flatten

BASE = {
    "block5_conv1": {"kernel": jnp.ones((3, 3, 2, 4)), "bias": jnp.ones(4)},
    "block4_conv1": {"kernel": jnp.ones((3, 3, 2, 2)), "bias": jnp.ones(2)},
}
PATTERN = "base/block5_.*"


def test_factors_start_as_nothing_and_are_thin():
    drawn = low_rank.factors(BASE, PATTERN, rank=2, key=jax.random.key(0))
    shapes = {path: leaf.shape for path, leaf in flatten(drawn).items()}
    assert shapes == {
        "base/block5_conv1/kernel/down": (18, 2),
        "base/block5_conv1/kernel/up": (2, 4),
    }
    params = {"base": BASE, "head": {"fc1": {"kernel": jnp.ones((2, 2))}}}
    same = low_rank.merged({**params, "low_rank": drawn})
    for path, leaf in flatten(params).items():
        np.testing.assert_array_equal(flatten(same)[path], leaf)


def test_the_product_is_added_to_the_kernel_as_a_matrix():
    rng = np.random.default_rng(0)
    down, up = rng.normal(size=(18, 2)).astype(np.float32), rng.normal(size=(2, 4))
    pair = {"block5_conv1": {"kernel": {"down": down, "up": up.astype(np.float32)}}}
    found = low_rank.merged({"base": BASE, "low_rank": {"base": pair}})["base"]
    change = np.asarray(found["block5_conv1"]["kernel"]) - 1
    np.testing.assert_allclose(change[1, 2, 0], down[10] @ up, rtol=1e-4)  # (1 * 3 + 2) * 2 + 0
    assert np.linalg.matrix_rank(change.reshape(18, 4), tol=1e-4) == 2
    np.testing.assert_array_equal(found["block4_conv1"]["kernel"], 1)


def test_what_trains_is_said_by_rules():
    assert low_rank.biases(PATTERN)[1] == ("(?:base/block5_.*)(bias|scale)", 1.0)
    with pytest.raises(InputError, match="matches no kernel"):
        low_rank.factors(BASE, "base/block9_.*", rank=2, key=jax.random.key(0))


@pytest.mark.parametrize(("base", "groups"), [("vgg16", 1), ("efficientnet-lite0", 3)])
def test_biases_alone_are_those_of_every_group_that_finetune_trains(base, groups):
    architecture = named(base)
    rules = rules_of("finetune", base)
    pattern = low_rank.biases(low_rank.of_base(rules))[1][0]
    trained = {
        group
        for group in architecture.groups
        for module in (m for cut in architecture.cuts if cut.group == group for m in cut.modules)
        if re.fullmatch(pattern, f"base/{module}/bias")
    }
    assert len(trained) == groups
    assert trained == set(architecture.groups[-groups:])
    assert not re.fullmatch(pattern, f"base/{architecture.modules[-1]}/kernel")
