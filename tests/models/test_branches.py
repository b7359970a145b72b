import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.models.branches import Branches

KEYS = jax.random.split(jax.random.key(0), 2000)
ONES = jnp.ones((2000, 3))


def test_later_blocks_are_dropped_more_often():
    """What stays is divided by the share that stays."""
    branches = Branches(5, 0.8, KEYS)
    for block, rate in enumerate((0, 0.2, 0.4, 0.6, 0.8)):
        kept = np.asarray(branches.drop(block)(ONES))
        assert abs((kept[:, 0] > 0).mean() - (1 - rate)) < 4 * np.sqrt(0.25 / 2000)
        np.testing.assert_allclose(kept[kept > 0], 1 / (1 - rate), rtol=1e-6)
        np.testing.assert_array_equal(kept.min(1), kept.max(1))  # a whole example at a time


def test_each_branch_has_keys_of_its_own():
    branches = Branches(3, 0.5, KEYS)
    masks = [branches.drop(block, branch)(ONES)[:, 0] > 0 for block in (1, 2) for branch in (0, 1)]
    for i, first in enumerate(masks):
        assert all(0.2 < float((first != other).mean()) < 0.8 for other in masks[:i])


def test_off_is_the_identity_and_on_needs_keys():
    assert Branches(3).drop(2)(ONES) is ONES
    with pytest.raises(ValueError, match="needs `keys`"):
        Branches(3, 0.5).drop(2)
