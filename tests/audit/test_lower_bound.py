"""The least that a step can cost, written out for networks small enough to count by hand."""

import jax
import jax.numpy as jnp
import pytest

from tljax.audit import lower_bound
from tljax.audit.abstract_step import Dry
from tljax.config import HEAD_ONLY, TRAIN_ALL, Stage, rules_of
from tljax.models import build
from tljax.optim import rules as rules_lib
from tljax.optim.transform import Optimizer

SGD = Optimizer("sgd", momentum=0.0)
CHAIN = [
    lower_bound.Layer("base/a", 100.0, 10, 40),
    lower_bound.Layer("base/b", 20.0, 40, 8),
    lower_bound.Layer("head/c", 3.0, 8, 1),
]


def dry(rules, *, network, size, batch=4, start=None, x=None):
    module = build.classifier(network, classes=2)
    images = jax.ShapeDtypeStruct((batch, size, size, 3), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images)
    return Dry(
        Stage("s", rules, lr=1.0, epochs=1, batch_size=batch),
        module,
        shapes,
        images if x is None else x,
        start,
    )


@pytest.mark.parametrize(
    ("trainable", "flops"),
    [
        # Forward, by the weights, by the inputs down to but without the first layer that trains.
        (["head/c/kernel"], 123 + 3),
        (["base/b/kernel", "head/c/kernel"], 123 + 23 + 3),
        (["base/a/kernel", "base/b/kernel", "head/c/kernel"], 123 + 123 + 23),
        (["base/a/bias"], 123 + 0 + 23),
        (["base/a/kernel", "head/c/bias"], 123 + 100 + 23),
    ],
)
def test_flops_of_a_chain(trainable, flops):
    assert lower_bound.flops(CHAIN, trainable) == flops


@pytest.mark.parametrize(
    ("trained", "most"),
    [
        # Nothing is kept: most is alive in the middle layer, its input and output.
        ({"head/c/kernel": (1,)}, 48),
        # The middle layer's input is kept while the last one works on 8 and 1.
        ({"base/b/kernel": (1,), "head/c/kernel": (1,)}, 49),
        # A gradient that is larger than all of them.
        ({"head/c/kernel": (100,)}, 400),
    ],
)
def test_temporary_bytes_of_a_chain(trained, most):
    leaves = {path: jax.ShapeDtypeStruct(shape, jnp.float32) for path, shape in trained.items()}
    assert lower_bound.temporary_bytes(CHAIN, leaves) == most


def test_optimizer_bytes():
    leaves = {
        "a": jax.ShapeDtypeStruct((3, 5), jnp.float32),
        "b": jax.ShapeDtypeStruct((2,), jnp.float32),
    }
    assert lower_bound.optimizer_bytes(Optimizer("rmsprop"), leaves) == 4 * 17
    assert lower_bound.optimizer_bytes(Optimizer("adam"), leaves) == 2 * 4 * 17 + 2 * 4
    assert lower_bound.optimizer_bytes(Optimizer("sgd"), leaves) == 4 * 17
    assert lower_bound.optimizer_bytes(SGD, leaves) == 0


def test_layers_of_the_network_from_scratch():
    """Four convolutions without padding, pooled, then two dense layers, at 48 x 48."""
    run = lower_bound.layers(dry(TRAIN_ALL, network=build.Network(base="cnn", hidden=5), size=48))
    sides, channels = (46, 21, 8, 2), (3, 32, 64, 128, 128)
    convolutions = [
        2 * 4 * side**2 * 9 * before * after
        for side, before, after in zip(sides, channels[:-1], channels[1:], strict=True)
    ]
    assert [layer.flops for layer in run] == [*convolutions, 2 * 4 * 128 * 5, 2 * 4 * 5]
    assert run[-2].path == "head/fc1"
    assert (run[0].x_bytes, run[-1].y_bytes) == (4 * 4 * 48 * 48 * 3, 4 * 4)


def test_taps_on_padding_are_no_work():
    """The last convolutions of VGG16 see 2 x 2 at an image of 32 x 32:
    4 of 6 taps along each axis.
    """
    network = build.Network(hidden=5, options={"width": 0.0625})
    run = {
        layer.path: layer for layer in lower_bound.layers(dry(HEAD_ONLY, network=network, size=32))
    }
    assert run["base/block5_conv3"].flops == 2 * 4 * (4 * 4) * 32 * 32
    assert run["base/block1_conv1"].flops == 2 * 4 * (3 * 32 - 2) ** 2 * 3 * 4
    assert len(run) == 13 + 2


def test_a_stage_that_starts_late_runs_what_is_left():
    x = jax.ShapeDtypeStruct((4, 2, 2, 32), jnp.float32)
    late = dry(
        rules_of("finetune"),
        network=build.Network(hidden=5, options={"width": 0.0625}),
        size=32,
        start="block5_conv1",
        x=x,
    )
    paths = [layer.path for layer in lower_bound.layers(late)]
    assert paths == [*(f"base/block5_conv{i}" for i in (1, 2, 3)), "head/fc1", "head/predictions"]


def test_the_lectures_step_in_gigaflops():
    """From block5_conv1, 4 images of 150 x 150 at full width: at most 57.2."""
    whole = dry(rules_of("finetune"), network=build.Network(), size=150)
    trainable, _ = rules_lib.split(whole.variables["params"], rules_of("finetune"))
    assert 50e9 < lower_bound.flops(lower_bound.layers(whole), tuple(trainable)) < 57.2e9
