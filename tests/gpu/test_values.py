"""What an accelerator computes is what the CPU computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.config import TRAIN_ALL
from tljax.data.augment import Augment, augment_batch
from tljax.data.draws import augment_keys, dropout_keys
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.models.layers import dropout
from tljax.optim import transform
from tljax.train import step
from tljax.tree import flatten

pytestmark = pytest.mark.gpu

RNG = np.random.default_rng(0)
PARTS = {"float32": 2e-5, "bfloat16": 3e-2}  # of the largest value


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def integers(*shape, high):
    return RNG.integers(0, high, shape).astype(np.float32)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("dtype", PARTS)
def test_convolution_and_its_gradients_over_an_odd_map(on_both, close, dtype, padding):
    def run(x, kernel):
        def pooled(x, kernel):
            return (
                ops.max_pool(ops.conv(x, kernel, padding=padding)).astype(jnp.float32) ** 2
            ).sum()

        x, kernel = x.astype(dtype), kernel.astype(dtype)
        with jax.default_matmul_precision("highest"):
            y = ops.conv(x, kernel, padding=padding)
            return y, jax.grad(pooled, argnums=(0, 1))(x, kernel)

    # Small integers: the maxima of a window are the same on both, ties included.
    found, expected = on_both(
        run, integers(4, 17, 17, 16, high=3), integers(3, 3, 16, 32, high=3) - 1
    )
    close(found, expected, part=PARTS[dtype])


@pytest.mark.parametrize("dtype", PARTS)
@pytest.mark.parametrize("shape", [(3, 6, 8, 5), (3, 7, 9, 5)], ids=["even", "odd"])
def test_pooling_gives_ties_to_the_first_to_the_bit(on_both, dtype, shape):
    def run(x, g):
        y, back = jax.vjp(ops.max_pool, x.astype(dtype))
        return y.astype(jnp.float32), back(g.astype(dtype))[0].astype(jnp.float32)

    n, h, w, c = shape
    found, expected = on_both(
        run, integers(*shape, high=2), integers(n, h // 2, w // 2, c, high=9) + 1
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_augmentation_to_one_grey_level(on_both):
    images = RNG.integers(0, 256, (32, 150, 150, 3), np.uint8)
    numbers = np.arange(32, dtype=np.int32)

    def run(images, numbers):
        return augment_batch(images, keys=augment_keys(0 * numbers, numbers), ranges=Augment())

    found, expected = on_both(run, images, numbers)
    assert np.abs(found - expected).max() < 1


def test_random_bits_are_the_same(on_both):
    numbers = np.arange(64, dtype=np.int32)

    def run(numbers):
        keys = dropout_keys(jax.random.key(3), numbers, numbers)
        kept = dropout(jnp.ones((64, 33)), rate=0.5, keys=keys)
        return jax.random.key_data(keys), kept

    for a, b in zip(*on_both(run, numbers), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("base", ["cnn", "vgg16"])
@pytest.mark.parametrize("dtype", PARTS)
def test_logits_loss_and_metrics_of_a_step(on_both, close, base, dtype):
    """The network's values and the gradient norm; a maximum may flip, so not each gradient."""
    options = {"width": 0.125} if base == "vgg16" else {}
    network = Network(base=base, hidden=16, options=options)
    module = build.classifier(network, classes=2, dtype=jnp.dtype(dtype))
    params = jax.device_get(build.init(module, key=jax.random.key(0), size=64)["params"])
    tx = transform.make(transform.Optimizer("sgd", momentum=0.0), TRAIN_ALL, flatten(params))
    train = step.make_train_step(apply=module.apply, tx=tx, rules=TRAIN_ALL)
    images, labels = RNG.random((16, 64, 64, 3), np.float32), np.arange(16, dtype=np.int32) % 2

    def run(params, images, labels, seeds):
        state = step.init_state(params, model_state={}, tx=tx, rules=TRAIN_ALL)
        keys = jax.vmap(jax.random.key)(seeds)
        with jax.default_matmul_precision("highest"):
            logits, _ = module.apply({"params": params}, images)
            batch = {"image": images, "label": labels, "key": keys}
            _, metrics = train(state, batch, {"lr": jnp.float32(0.1), "dropout": jnp.float32(0)})
        return logits.astype(jnp.float32), metrics["loss"], metrics["grad_norm"]

    seeds = np.arange(16, dtype=np.uint32)
    found, expected = on_both(run, params, images, labels, seeds)
    close(found, expected, part=50 * PARTS[dtype] if dtype == "float32" else 0.1)
