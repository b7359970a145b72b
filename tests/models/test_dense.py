"""The dense head: which layers it reads of each base, its shapes, and that every level counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.errors import InputError
from tljax.models import build, dense
from tljax.models.build import Network

from .bases import quick


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("vgg16", ("block5_pool", "block5_conv3", "block4_conv3", "block3_conv3")),
        ("efficientnet-lite0", ("top", "stage5_2", "stage3_1", "stage2_1")),
        ("cnn", ("pool4", "conv4", "conv3")),
    ],
)
def test_the_last_layer_of_each_stride_is_read(base, expected):
    module = build.base_of(Network(base))
    assert dense.levels(build.named(base), module) == expected
    coarser = dense.levels(build.named(base), module, finest=8)
    assert coarser == expected[: len(coarser)]


def test_a_base_of_one_stride_is_refused_in_one_line():
    module = build.base_of(Network("vit-small"))
    with pytest.raises(InputError, match=r"maps of two strides of 4 pixels.*vit-small has"):
        dense.levels(build.named("vit-small"), module)


def test_scores_come_at_the_finest_level_and_every_level_counts():
    """An odd size: maps of 9 x 11, 5 x 6 and 3 x 3 places, the finer not twice the coarser."""
    rng = np.random.default_rng(0)
    shapes = {"deep": (2, 3, 3, 7), "middle": (2, 5, 6, 4), "fine": (2, 9, 11, 3)}
    maps = {name: jnp.asarray(rng.normal(size=each), jnp.float32) for name, each in shapes.items()}
    head = dense.DenseHead(outputs=5, reads=tuple(shapes), hidden=8, norm=True)
    variables = head.init(jax.random.key(0), jnp.zeros(()), activations=maps)

    def total(maps):
        logits, out = head.apply(variables, jnp.zeros(()), activations=maps)
        assert logits.shape == (2, 9, 11, 5)
        assert logits.dtype == jnp.float32
        assert out["join1"].shape == (2, 3, 3, 8)
        return jnp.square(logits).sum()

    slopes = quick(jax.grad(total))(maps)
    assert all(np.abs(slope).max() > 0 for slope in slopes.values())
    # Each place is divided by its root mean square, so a level's scale says nothing.
    louder = {name: 100 * each for name, each in maps.items()}
    np.testing.assert_allclose(total(louder), total(maps), rtol=1e-4)
