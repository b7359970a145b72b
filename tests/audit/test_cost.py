"""What the compiled step costs, against formulas written out here."""

from dataclasses import replace
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tljax.audit import abstract_step
from tljax.audit.abstract_step import Dry
from tljax.audit.cost import Cost, audit
from tljax.config import HEAD_ONLY, TRAIN_ALL, Stage, rules_of
from tljax.machine import devices
from tljax.models import build
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.optim import transform
from tljax.optim.transform import Optimizer

ADAM = Optimizer("adam", weight_decay=0.01)
CLIPPED = Optimizer(clip_norm=1.0)
NARROW = build.Network(hidden=8, options={"width": 0.0625})


def stage(rules, optimizer):
    return Stage("s", rules, lr=1e-3, epochs=1, optimizer=optimizer, dropout=0.5)


def of(module, *, rules, size, batch, optimizer=CLIPPED):
    images = jax.ShapeDtypeStruct((batch, size, size, 3), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), images)
    return Dry(stage(rules, optimizer), module, variables, images)


def one():
    return devices.mesh(jax.devices()[:1])


def vgg(*, rules, network=NARROW, size=32, batch=8, optimizer=CLIPPED, over=None):
    module = build.classifier(network, classes=2)
    return audit(
        of(module, rules=rules, size=size, batch=batch, optimizer=optimizer), over or one()
    )


def forward(*, width, size, batch):
    """FLOPs of VGG16's convolutions by layer, taps on padding left out:
    3 s - 2 of 3 s along an axis of s.
    """
    flops, before = {}, 3
    for block, (count, after) in enumerate(
        ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), start=1
    ):
        for conv in range(1, count + 1):
            flops[f"block{block}_conv{conv}"] = (
                2 * batch * (3 * size - 2) ** 2 * before * int(after * width)
            )
            before = int(after * width)
        size //= 2
    return flops, 2 * batch * (size**2 * before * 256 + 256)


@pytest.mark.parametrize(
    "optimizer",
    [CLIPPED, pytest.param(Optimizer(), marks=pytest.mark.slow)],
    ids=["clipped", "plain"],
)
def test_a_frozen_base_costs_its_forward_pass(optimizer):
    """At full width, with the gradient norm that every step logs."""
    found = vgg(rules=HEAD_ONLY, network=build.Network(), size=150, batch=4, optimizer=optimizer)
    convolutions, head = forward(width=1, size=150, batch=4)
    assert found.compiler.found <= 1.01 * sum(convolutions.values()) + 3 * head
    assert found.products.found == pytest.approx(sum(convolutions.values()) + 2 * head, rel=1e-4)
    # The head forward, by its two kernels, and by the 256 units between them.
    work = sum(convolutions.values()) + 2 * head + 2 * 4 * 256
    assert found.flops == Cost(work, work)


@pytest.mark.parametrize(
    "optimizer",
    [CLIPPED, pytest.param(Optimizer(), marks=pytest.mark.slow)],
    ids=["clipped", "plain"],
)
def test_the_lectures_fine_tuning_in_gigaflops(optimizer):
    """From block5_conv1, 4 images of 150 x 150 at full width."""
    found = vgg(
        rules=rules_of("finetune"), network=build.Network(), size=150, batch=4, optimizer=optimizer
    )
    assert 50e9 < found.flops.found == found.flops.least < 57.2e9
    assert found.compiler.found <= 57.2e9
    # The compiler may leave out the row and the column that pooling drops of 75, 37 and 9.
    assert found.products.found == pytest.approx(found.products.least, rel=5e-3)


def test_nothing_is_computed_for_what_is_frozen():
    """Narrow: products of block 5 three times, but for the input of its first layer;
    the norm and clipping add none.
    """
    convolutions, _ = forward(width=1 / 8, size=64, batch=8)
    late = [flops for layer, flops in convolutions.items() if layer.startswith("block5")]
    head = 2 * 8 * (2 * 2 * 64 * 8 + 8)
    network, clipped = (
        build.Network(hidden=8, options={"width": 0.125}),
        replace(ADAM, clip_norm=0.1),
    )
    found = vgg(rules=rules_of("finetune"), network=network, size=64, optimizer=clipped)
    expected = sum(convolutions.values()) + 2 * sum(late) - late[0] + 3 * head
    assert found.products.found == pytest.approx(expected, rel=1e-3)
    assert found.products.ratio == pytest.approx(1, rel=1e-3)
    assert (found.reduced, found.exchanged) == (Cost(0, 0), Cost(0, 0))


@pytest.mark.parametrize(
    ("rules", "optimizer", "numbers"),
    [(rules_of("finetune"), CLIPPED, 1), (rules_of("differential"), ADAM, 2)],
    ids=["late", "whole"],
)
def test_eight_devices_send_the_gradients_and_keep_no_more(rules, optimizer, numbers):
    """4 bytes for each trainable parameter, and the loss and the number correct;
    Adam counts steps for each leaf.
    """
    found = vgg(rules=rules, optimizer=optimizer, over=devices.mesh())
    kernels = [
        (3, 3, 3, 4),
        (3, 3, 4, 4),
        (3, 3, 4, 8),
        (3, 3, 8, 8),
        (3, 3, 8, 16),
        *[(3, 3, 16, 16)] * 2,
    ]
    kernels += [(3, 3, 16, 32), *[(3, 3, 32, 32)] * 5]
    kernels = kernels[-3:] if rules == rules_of("finetune") else kernels
    parameters = sum(np.prod(kernel) + kernel[-1] for kernel in kernels) + 33 * 8 + 9
    assert found.devices == 8
    assert found.reduced.found == 4 * parameters + 8
    assert found.exchanged.found == 0
    leaves = 2 * len(kernels) + 4
    assert len(found.trainable) == leaves
    assert found.optimizer.found == 4 * numbers * parameters + (4 * leaves if numbers == 2 else 0)
    assert found.reduced.ratio == found.optimizer.ratio == found.exchanged.ratio == 1
    assert (found.moved, found.idle) == ((), ())
    assert len(found.held) == 30 - leaves


class Forgetful(nn.Module):
    """A base with two parameters, of which its output has one."""

    @nn.compact
    def __call__(self, x, *, train=False, **options):
        used, _ = (self.param(name, nn.initializers.ones, (3,)) for name in ("used", "unused"))
        return nn.BatchNorm(use_running_average=not train, name="norm")(x) * used, {}


def test_what_moves_and_what_is_idle_is_named(monkeypatch):
    small = of(
        Classifier(base=Forgetful(), head=Head(outputs=1, hidden=0)),
        rules=TRAIN_ALL,
        size=4,
        batch=4,
    )
    small = replace(small, stage=stage(TRAIN_ALL, Optimizer()))
    assert audit(small, one()).idle == ("base/unused",)
    rules = (("head/.*", 1.0), ("base/.*", None))
    found = audit(replace(small, stage=stage(rules, Optimizer())), one())
    assert found.moved == ("batch_stats/base/norm/mean", "batch_stats/base/norm/var")
    assert found.idle == ()
    make = abstract_step.step.make_train_step

    def decayed(**options):
        step = make(**options)

        def broken(state, *rest):
            state, metrics = step(state, *rest)
            return state.replace(params=optax.tree.scale(0.9, state.params)), metrics

        return broken

    monkeypatch.setattr(
        abstract_step,
        "step",
        SimpleNamespace(make_train_step=decayed, first_state=abstract_step.step.first_state),
    )
    assert "params/base/used" in audit(replace(small, stage=stage(rules, Optimizer())), one()).moved


def test_a_cost_as_a_ratio():
    assert Cost(3, 2).ratio == 1.5
    assert Cost(0, 0).ratio == 1
    assert Cost(1, 0).ratio == float("inf")
    assert np.isnan(Cost(float("nan"), 2).ratio)


def test_an_optimizer_with_momentum_for_all_is_caught(monkeypatch):
    """State for frozen leaves too, as labels with a rate of zero would have it:
    more than the least.
    """
    make = transform.make
    monkeypatch.setattr(
        abstract_step.transform,
        "make",
        lambda optimizer, rules, paths: optax.chain(make(optimizer, rules, paths), _Extra),
    )
    found = vgg(rules=HEAD_ONLY, size=32)
    assert found.optimizer.ratio > 2


_Extra = optax.GradientTransformationExtraArgs(
    lambda params: jnp.zeros(100_000), lambda updates, state, params=None, **extra: (updates, state)
)
