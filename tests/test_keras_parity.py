"""The lecture's network from scratch, trained by tljax and by Keras itself,
and by Keras 2's formula.

Its first steps are chaotic: in float32 tljax from parameters moved by 3e-7 is 5e-2 away from itself
after 20 steps. So the long comparison is in float64, and the one in float32 stops before rounding
has grown.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax import config
from tljax.models import build, ops
from tljax.optim import rules as rules_lib
from tljax.optim import transform
from tljax.train import step
from tljax.tree import flatten

STEPS = 20
LR = 1e-4
SCRATCH = build.Network(base="cnn", hidden=512)  # without its dropout: nothing random is left
MODULE = build.classifier(SCRATCH, classes=2)


def glorot(size):
    """Initial parameters, by NumPy: uniform with Keras's limit, biases at zero."""
    rng = np.random.default_rng(0)

    def draw(leaf):
        if len(leaf.shape) == 1:
            return jnp.zeros(leaf.shape)
        field = np.prod(leaf.shape[:-2])
        limit = np.sqrt(6 / (field * (leaf.shape[-2] + leaf.shape[-1])))
        return jnp.asarray(rng.uniform(-limit, limit, leaf.shape), jnp.float32)

    shapes = jax.eval_shape(MODULE.init, jax.random.key(0), jnp.zeros((1, size, size, 3)))
    return jax.tree.map(draw, shapes["params"])


def batches(size, batch_size, steps=STEPS):
    """Noise around a bright half, the upper one for class 0: steep gradients."""
    rng = np.random.default_rng(1)
    for _ in range(steps):
        labels = rng.permutation(np.arange(batch_size) % 2).astype(np.int32)
        images = rng.uniform(0, 0.6, (batch_size, size, size, 3)).astype(np.float32)
        for image, label in zip(images, labels, strict=True):
            image[label * size // 2 :][: size // 2] += 0.4
        yield images, labels


def starting(params, optimizer, module=MODULE):
    tx = transform.make(optimizer, config.TRAIN_ALL, flatten(params))
    state = step.init_state(params, model_state={}, tx=tx, rules=config.TRAIN_ALL)
    return step.make_train_step(apply=module.apply, tx=tx, rules=config.TRAIN_ALL), state


def batch_of(images, labels):
    return {
        "image": images,
        "label": labels,
        "key": jax.random.split(jax.random.key(0), len(labels)),
    }


HYPER = {"lr": jnp.float32(LR), "dropout": jnp.float32(0)}


def distance(found, expected, first):
    """Norm of the difference over norm of the change, over all leaves."""
    found, expected, first = (flatten(tree) for tree in (found, expected, first))

    def norm(a, b):
        return np.sqrt(
            sum(((np.float64(a[path]) - np.float64(b[path])) ** 2).sum() for path in first)
        )

    return norm(found, expected) / norm(expected, first)


def keras_twin(params, size):
    import keras

    layers = [keras.Input((size, size, 3))]
    for channels in (32, 64, 128, 128):
        layers += [
            keras.layers.Conv2D(channels, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
        ]
    layers += [
        keras.layers.Flatten(),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.RMSprop(LR), keras.losses.BinaryCrossentropy(from_logits=True))
    model.set_weights([np.asarray(params[room][name][leaf]) for room, name, leaf in ORDER])
    return model


ORDER = [
    (room, name, leaf)
    for room, name in [
        *(("base", f"conv{i}") for i in range(1, 5)),
        ("head", "fc1"),
        ("head", "predictions"),
    ]
    for leaf in ("kernel", "bias")
]


def assert_parity_with_keras(size, *, batch_size, steps, dtype, within):
    module = build.classifier(SCRATCH, classes=2, dtype=dtype)
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), glorot(size))
    train_step, state = starting(params, config.KERAS3_RMSPROP, module)
    train_step, model = ops.jit(train_step), keras_twin(params, size)
    hyper = {"lr": jnp.asarray(LR, dtype), "dropout": jnp.asarray(0, dtype)}
    for images, labels in batches(size, batch_size, steps):
        images = images.astype(dtype)
        state, metrics = train_step(state, batch_of(images, labels), hyper)
        model.reset_metrics()  # Keras before 3.15 tells the mean over the batches so far
        loss = model.train_on_batch(images, labels[:, None].astype(dtype))
        assert float(metrics["loss"] / metrics["count"]) == pytest.approx(
            float(np.ravel(loss)[0]), rel=1e-4
        )
    theirs = {
        "/".join(path): np.asarray(v.value) for path, v in zip(ORDER, model.weights, strict=True)
    }
    assert theirs["base/conv1/kernel"].dtype == dtype
    assert distance(state.params, rules_lib.merge(theirs, {}), params) < within


@pytest.fixture
def float64():
    """JAX and Keras in double precision."""
    import keras

    with jax.enable_x64(True):
        for name in ("float64", "float32"):
            keras.config.set_floatx(name)
            keras.config.set_dtype_policy(
                name
            )  # remembered from the first layer on, whatever floatx says later
            if name == "float64":
                yield np.float64


def test_scratch_cnn_trains_as_in_keras_3(float64):
    """20 steps, on the smallest images the network takes: float64 convolutions are slow."""
    assert_parity_with_keras(46, batch_size=2, steps=STEPS, dtype=float64, within=1e-9)


@pytest.mark.slow
def test_scratch_cnn_trains_as_in_keras_3_on_the_lecture_s_images(float64):
    assert_parity_with_keras(150, batch_size=4, steps=STEPS, dtype=float64, within=1e-9)


def test_first_steps_on_the_lecture_s_images_are_those_of_keras_3():
    """The second depends on the memory of the first."""
    assert_parity_with_keras(150, batch_size=4, steps=2, dtype=np.float32, within=1e-3)


def test_scratch_cnn_trains_by_the_formula_of_keras_2():
    """`w -= lr g / (sqrt(v) + eps)`, `v = 0.9 v + 0.1 g^2`,
    in NumPy and float64 over our gradients.
    """
    params = glorot(46)
    train_step, state = starting(params, config.KERAS2_RMSPROP)

    def loss(params, images, labels):
        logits = MODULE.apply({"params": params}, images)[0][:, 0]
        return (jnp.logaddexp(0, logits) - labels * logits).mean()

    @ops.jit
    def both(state, batch):
        return train_step(state, batch, HYPER)[0], jax.grad(loss)(
            state.params, batch["image"], batch["label"]
        )

    weights = {path: np.float64(leaf) for path, leaf in flatten(params).items()}
    squares = {path: np.zeros_like(leaf) for path, leaf in weights.items()}
    for images, labels in batches(46, 4, STEPS):
        state, gradients = both(state, batch_of(images, labels))
        for path, gradient in flatten(gradients).items():
            g = np.float64(gradient)
            squares[path] = 0.9 * squares[path] + 0.1 * g**2
            weights[path] = weights[path] - LR * g / (np.sqrt(squares[path]) + 1e-7)
    assert distance(state.params, rules_lib.merge(weights, {}), params) < 1e-3
