import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.errors import InputError
from tljax.models.build import Network, classifier, init
from tljax.optim.rules import frozen_layers

SMALL = Network(hidden=4, options={"width": 0.0625})


def shapes(network, *, classes, size):
    return jax.eval_shape(
        classifier(network, classes=classes).init, jax.random.key(0), jnp.zeros((1, size, size, 3))
    )


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_the_lecture_s_counts():
    scratch = Network(base="cnn", hidden=512, dropout_flat=True)
    assert count(shapes(scratch, classes=2, size=150)) == 3_453_121
    params = shapes(Network(), classes=2, size=150)["params"]
    assert set(params) == {"base", "head"}
    assert count(params["base"]) == 14_714_688
    assert count(params["head"]) == 8192 * 256 + 256 + 256 + 1


def test_classes_and_hidden_make_the_head():
    head = shapes(Network(hidden=0, options={"width": 0.0625}), classes=12, size=32)["params"][
        "head"
    ]
    assert head["predictions"]["kernel"].shape == (32, 12)
    assert count(head) == 32 * 12 + 12


def test_init_is_seeded_and_zero_where_keras_is():
    module = classifier(SMALL, classes=2)
    variables = init(module, key=jax.random.key(5), size=32)
    assert set(variables) == {"params"}
    again = init(module, key=jax.random.key(5), size=32)
    jax.tree.map(np.testing.assert_array_equal, variables, again)
    params = variables["params"]
    np.testing.assert_array_equal(params["base"]["block1_conv1"]["bias"], 0)
    kernel = np.asarray(params["base"]["block5_conv3"]["kernel"])  # Glorot: uniform, fans of 9 x 32
    limit = np.sqrt(6 / (9 * 32 + 9 * 32))
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    assert abs(kernel.std() - limit / np.sqrt(3)) < 0.02 * limit


@pytest.mark.parametrize(
    ("network", "size", "message"),
    [
        (Network(base="resnet1"), 32, "unknown base 'resnet1'; one of cnn, vgg16"),
        (
            Network(base="cnn", options={"padding": "same"}),
            64,
            "unknown padding 'same'; VALID or SAME",
        ),
        (Network(base="cnn"), 32, "46 x 46 or larger"),
        (Network(base="cnn", options={"padding": "SAME"}), 15, "too small for the base"),
        (SMALL, 31, "too small for the base"),
    ],
)
def test_networks_that_cannot_be_are_refused(network, size, message):
    with pytest.raises(InputError, match=message):
        shapes(network, classes=2, size=size)


def test_frozen_layers_as_the_rules_name_them():
    """`frozen_layers` says `base/block1_conv1`, the base knows its layers without the prefix."""
    network = Network(hidden=0, options={"width": 0.0625, "norm": True})
    params = shapes(network, classes=2, size=32)["params"]
    frozen = frozen_layers(params, [("head/.*|base/block5_.*", 1.0), (".*", None)])
    named = frozenset({"block1_conv1", "block4_conv3"})
    assert named < classifier(network, classes=2, frozen=frozen).base.frozen
    assert "block5_conv1" not in classifier(network, classes=2, frozen=frozen).base.frozen
    assert classifier(network, classes=2, frozen=named).base.frozen == named
