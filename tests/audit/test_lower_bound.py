"""The least that a step can cost, written out for networks small enough to count by hand."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from tljax.audit import lower_bound
from tljax.audit.abstract_step import Dry
from tljax.config import HEAD_ONLY, TRAIN_ALL, Stage, rules_of
from tljax.machine import devices
from tljax.machine.flops import Product, Value
from tljax.machine.flops import flops as counted
from tljax.models import build
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.optim.transform import Optimizer

SGD = Optimizer("sgd", momentum=0.0)
X = lower_bound.DATA
ON = lower_bound.DATA | lower_bound.TRAINED


def value(nbytes, marks=X):
    return Value(nbytes, marks)


def chain(*trained, bias=""):
    """Products a, b, c of 100, 20 and 3 FLOPs from 10 to 40 to 8 to 1 bytes; 10 are an argument."""
    run, x, moved = [], value(0), False
    for name, work, nbytes in (("a", 100.0, 40), ("b", 20.0, 8), ("c", 3.0, 1)):
        kernel = value(7, lower_bound.TRAINED if name in trained else frozenset())
        moved = moved or name in (*trained, bias)
        y = value(nbytes, ON if moved else X)
        run.append(Product(work, (x, kernel), y))
        x = y
    return run


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
    ("run", "flops"),
    [
        # Forward, by the weights, by the inputs down to but without the first layer that trains.
        (chain("c"), 123 + 3),
        (chain("b", "c"), 123 + 23 + 3),
        (chain("a", "b", "c"), 123 + 123 + 23),
        (chain(bias="a"), 123 + 0 + 23),
        (chain("a"), 123 + 100 + 23),
    ],
)
def test_flops_of_a_chain(run, flops):
    assert lower_bound.flops(run) == flops


@pytest.mark.parametrize(
    ("trained", "largest", "most"),
    [
        # Nothing is kept: most is alive in the middle layer, its input and output.
        ("c", 1, 48),
        # The middle layer's input is kept while the last one works on 8 and 1.
        ("bc", 1, 49),
        # A gradient that is larger than all of them.
        ("c", 100, 400),
    ],
)
def test_temporary_bytes_of_a_chain(trained, largest, most):
    leaves = {"leaf": jax.ShapeDtypeStruct((largest,), jnp.float32)}
    assert lower_bound.temporary_bytes(chain(*trained), leaves) == most


def test_what_two_products_read_is_kept_once():
    leaves = {"leaf": jax.ShapeDtypeStruct((1,), jnp.float32)}
    x, kernel = value(40), value(7, lower_bound.TRAINED)
    fork = [Product(1.0, (x, kernel), value(3, ON)), Product(1.0, (x, kernel), value(5, ON))]
    assert lower_bound.temporary_bytes(fork, leaves) == 40 + 5


class Forked(nn.Module):
    """A strided convolution, a depthwise one beside a skip connection, and attention."""

    @nn.compact
    def __call__(self, x, *, train=False, **options):
        del train
        x = nn.relu(nn.Conv(6, (3, 3), (2, 2), name="strided")(x))
        y = nn.Conv(6, (3, 3), feature_group_count=6, use_bias=False, name="depthwise")(x)
        x = x + nn.relu(y)
        tokens = x.reshape(x.shape[0], -1, 6)
        query = nn.Dense(6, use_bias=False, name="query")(tokens)
        scores = nn.softmax(query @ tokens.swapaxes(1, 2))
        return (scores @ tokens).mean(1), {"unused": nn.Conv(9, (3, 3), name="unused")(x)}


STRIDED = 2 * 4 * (3 * 4 - 1) ** 2 * 3 * 6  # 8 x 8 to 4 x 4, where SAME pads one side alone
DEPTHWISE = 2 * 4 * (3 * 4 - 2) ** 2 * 6
QUERY, SCORES, HEAD = 2 * 4 * 16 * 36, 2 * 4 * 16**2 * 6, 2 * 4 * 6


@pytest.mark.parametrize(
    ("rules", "least"),
    [
        (HEAD_ONLY, STRIDED + DEPTHWISE + QUERY + 2 * SCORES + 2 * HEAD),
        # The query's kernel: not by the tokens; the scores by the query, their sum by the scores.
        (
            (("base/query/.*|head/.*", 1.0), (".*", None)),
            STRIDED + DEPTHWISE + 2 * QUERY + 2 * SCORES + 2 * SCORES + 3 * HEAD,
        ),
        # Everything: all three times, but the first convolution not by the images.
        (TRAIN_ALL, 2 * STRIDED + 3 * (DEPTHWISE + QUERY + 2 * SCORES + HEAD)),
    ],
    ids=["head", "query", "all"],
)
def test_the_least_of_a_base_that_is_no_chain(rules, least):
    """Forward and gradients of strided, depthwise and attention products, and what a step counts.

    The convolution that the logits do not need is not in either.
    """
    module = Classifier(base=Forked(), head=Head(outputs=1, hidden=0))
    images = jax.ShapeDtypeStruct((4, 8, 8, 3), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images)
    forked = Dry(Stage("s", rules, lr=1.0, epochs=1, batch_size=4), module, shapes, images)
    assert lower_bound.flops(lower_bound.forward(forked)) == least
    if rules is not TRAIN_ALL:
        return
    traced = forked.trace(devices.mesh(jax.devices()[:1]))
    assert counted(traced) == least


def test_optimizer_bytes():
    leaves = {
        "a": jax.ShapeDtypeStruct((3, 5), jnp.float32),
        "b": jax.ShapeDtypeStruct((2,), jnp.float32),
    }
    assert lower_bound.optimizer_bytes(Optimizer("rmsprop"), leaves) == 4 * 17
    assert lower_bound.optimizer_bytes(Optimizer("adam"), leaves) == 2 * 4 * 17 + 2 * 4
    assert lower_bound.optimizer_bytes(Optimizer("sgd"), leaves) == 4 * 17
    assert lower_bound.optimizer_bytes(SGD, leaves) == 0


def test_products_of_the_network_from_scratch():
    """Four convolutions without padding, pooled, then two dense layers, at 48 x 48."""
    run = lower_bound.forward(dry(TRAIN_ALL, network=build.Network(base="cnn", hidden=5), size=48))
    sides, channels = (46, 21, 8, 2), (3, 32, 64, 128, 128)
    convolutions = [
        2 * 4 * side**2 * 9 * before * after
        for side, before, after in zip(sides, channels[:-1], channels[1:], strict=True)
    ]
    assert [each.flops for each in run] == [*convolutions, 2 * 4 * 128 * 5, 2 * 4 * 5]
    assert run[-1].result.nbytes == 4 * 4
    assert [run[0].reads[0].nbytes, run[1].reads[0].nbytes] == [0, 4 * 4 * 23 * 23 * 32]


def test_taps_on_padding_are_no_work():
    """The last convolutions of VGG16 see 2 x 2 at an image of 32 x 32:
    4 of 6 taps along each axis.
    """
    network = build.Network(hidden=5, options={"width": 0.0625})
    run = lower_bound.forward(dry(HEAD_ONLY, network=network, size=32))
    assert run[12].flops == 2 * 4 * (4 * 4) * 32 * 32
    assert run[0].flops == 2 * 4 * (3 * 32 - 2) ** 2 * 3 * 4
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
    run = lower_bound.forward(late)
    assert [each.flops for each in run[:3]] == 3 * [2 * 4 * (4 * 4) * 32 * 32]
    assert len(run) == 3 + 2


def test_the_lectures_step_in_gigaflops():
    """From block5_conv1, 4 images of 150 x 150 at full width: at most 57.2."""
    whole = dry(rules_of("finetune"), network=build.Network(), size=150)
    assert 50e9 < lower_bound.flops(lower_bound.forward(whole)) < 57.2e9
