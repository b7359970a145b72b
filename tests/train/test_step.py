import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.nn import log_sigmoid, log_softmax

from tljax.models import build, ops
from tljax.optim import rules as rules_lib
from tljax.optim import transform
from tljax.optim.transform import Optimizer
from tljax.tasks.classification import CLASSIFICATION, predicted
from tljax.train import step
from tljax.tree import flatten

# Programs run once: XLA need not optimise them.
quick = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
RNG = np.random.default_rng(0)
SGD = Optimizer("sgd", momentum=0.0)
LR = 0.1


def hyper(lr=LR, dropout=0.0):
    return {"lr": jnp.float32(lr), "dropout": jnp.float32(dropout)}


def start(params, rules, *, optimizer=SGD, model_state=None):
    tx = transform.make(optimizer, rules, flatten(params))
    return tx, step.init_state(params, model_state=model_state or {}, tx=tx, rules=rules)


def linear(variables, x, *, train, rate=0.0, keys=None, mutable=False):
    """A model of two matrices and a bias, with Flax's calling convention."""
    params = variables["params"]
    logits = x @ params["base"]["kernel"] @ params["head"]["kernel"] + params["head"]["bias"]
    return ((logits, {}), {}) if mutable is not False else (logits, {})


def linear_params(outputs):
    def draw(*shape):
        return jnp.asarray(RNG.normal(size=shape), jnp.float32)

    return {
        "base": {"kernel": draw(4, 3)},
        "head": {"kernel": draw(3, outputs), "bias": draw(outputs)},
    }


def batch_of(x, labels):
    return {
        "image": jnp.asarray(x, jnp.float32),
        "label": jnp.asarray(labels, jnp.int32),
        "key": jax.random.split(jax.random.key(0), len(x)),
    }


def stable_loss(logits, labels):
    if logits.shape[1] == 1:
        z = logits[:, 0]
        return np.logaddexp(0, z) - labels * z
    return np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]


def residual(logits, labels):
    """The gradient of the summed loss by the logits: what is predicted less what is right."""
    if logits.shape[1] == 1:
        return 1 / (1 + np.exp(-logits)) - labels[:, None]
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - np.eye(logits.shape[1])[labels]


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_step_by_formula(outputs):
    """Base frozen, head at half the rate: two of three leaves move, by the chain rule."""
    rules = [("head/.*", 0.5), ("base/.*", None)]
    params = linear_params(outputs)
    x, labels = RNG.normal(size=(6, 4)), np.array([0, 1, 1, 0, 1, 0]) + (outputs == 3)
    tx, state = start(params, rules)
    moved, metrics = jax.jit(step.make_train_step(apply=linear, tx=tx, rules=rules))(
        state, batch_of(x, labels), hyper()
    )

    base, kernel, bias = (
        np.float64(params[a][b])
        for a, b in (("base", "kernel"), ("head", "kernel"), ("head", "bias"))
    )
    features = x @ base
    logits = features @ kernel + bias
    error = residual(logits, labels) / 6
    gradients = {"kernel": features.T @ error, "bias": error.sum(0)}
    for name, before in {"kernel": kernel, "bias": bias}.items():
        np.testing.assert_allclose(
            moved.params["head"][name], before - LR * 0.5 * gradients[name], rtol=1e-5, atol=1e-6
        )
    np.testing.assert_array_equal(moved.params["base"]["kernel"], params["base"]["kernel"])

    guesses = (logits[:, 0] > 0).astype(int) if outputs == 1 else logits.argmax(1)
    assert float(metrics["loss"]) == pytest.approx(
        stable_loss(logits, labels).sum(), rel=1e-5
    )  # a sum, not a mean
    assert int(metrics["correct"]) == (guesses == labels).sum()
    assert int(metrics["count"]) == 6
    norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
    assert float(metrics["grad_norm"]) == pytest.approx(norm, rel=1e-5)


def test_losses_by_jax_and_at_the_extremes():
    logits = jnp.array([[-100.0], [-1.0], [0.0], [2.0], [100.0]])
    for label in (0, 1):
        expected = -log_sigmoid(logits[:, 0] if label else -logits[:, 0])
        found = CLASSIFICATION.losses(logits, jnp.full(5, label))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        np.testing.assert_allclose(
            found, stable_loss(np.float64(logits), np.full(5, label)), rtol=1e-5, atol=1e-7
        )
    many = jnp.array([[1.0, 2.0, -3.0], [50.0, 0.0, 0.0]])
    np.testing.assert_allclose(
        CLASSIFICATION.losses(many, jnp.array([1, 2])),
        [-log_softmax(many)[0, 1], 50.0],
        rtol=1e-6,
    )
    np.testing.assert_array_equal(predicted(logits), [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(predicted(many), [1, 0])


def test_evaluation_does_not_see_the_padding():
    params = linear_params(3)
    x, labels = RNG.normal(size=(5, 4)), np.array([0, 1, 2, 2, 1])
    _, state = start(params, [(".*", 1.0)])
    logits = x @ np.float64(params["base"]["kernel"]) @ np.float64(params["head"]["kernel"])
    logits += np.float64(params["head"]["bias"])
    evaluate = jax.jit(step.make_eval_step(apply=linear))
    for padding in (0.0, 1e3):
        padded = np.concatenate([x, np.full((3, 4), padding)])
        batch = {
            "image": jnp.asarray(padded, jnp.float32),
            "label": jnp.asarray([*labels, 0, 0, 0], jnp.int32),
            "mask": jnp.asarray([1, 1, 1, 1, 1, 0, 0, 0], jnp.float32),
        }
        sums = evaluate(state, batch)
        assert float(sums["loss"]) == pytest.approx(stable_loss(logits, labels).sum(), rel=1e-5)
        assert float(sums["correct"]) == (logits.argmax(1) == labels).sum()
        assert float(sums["count"]) == 5


def test_the_counter_counts_and_a_new_rate_is_not_a_new_program():
    traces = []

    def counted(*args, **kwargs):
        traces.append(1)
        return linear(*args, **kwargs)

    rules = [(".*", 1.0)]
    tx, state = start(linear_params(1), rules)
    train_step = jax.jit(step.make_train_step(apply=counted, tx=tx, rules=rules))
    batch = batch_of(RNG.normal(size=(6, 4)), [0, 1, 1, 0, 1, 0])
    for i in range(3):
        assert int(state.step) == i
        state, _ = train_step(state, batch, hyper(lr=0.1 / (i + 1), dropout=0.1 * i))
    assert int(state.step) == 3
    assert len(traces) == 1


FINE_TUNE = (("head/.*", 1.0), ("base/block5_.*", 0.1), ("base/.*", None))


@pytest.fixture(scope="module")
def fine_tuned():
    """A normalised VGG16 before and after one step of `FINE_TUNE`, and its batch and module."""
    network = build.Network(hidden=8, dropout_hidden=True, options={"width": 0.0625, "norm": True})
    shapes = jax.eval_shape(
        build.classifier(network, classes=2).init,
        jax.random.key(0),
        jnp.zeros((1, 32, 32, 3), jnp.float32),
    )
    frozen = rules_lib.frozen_layers(shapes["params"], FINE_TUNE)
    module = build.classifier(network, classes=2, frozen=frozen)
    variables = jax.tree_util.tree_map_with_path(fill, shapes)
    tx, state = start(
        variables["params"],
        FINE_TUNE,
        optimizer=Optimizer(weight_decay=0.01),
        model_state={"batch_stats": variables["batch_stats"]},
    )
    batch = batch_of(RNG.normal(size=(8, 32, 32, 3)), [0, 1] * 4)
    train_step = step.make_train_step(apply=module.apply, tx=tx, rules=FINE_TUNE)
    moved, _ = quick(train_step)(state, batch, hyper(dropout=0.5))
    return module, state, moved, batch


def fill(path, leaf):
    """Random numbers in place of shapes: nothing to compile,
    and no zeros for a mistake to hide behind.
    """
    name = path[-1].key
    if name in ("var", "scale"):
        return jnp.asarray(RNG.uniform(0.5, 1.5, leaf.shape), jnp.float32)
    return jnp.asarray(
        RNG.normal(0, 1.4 / np.sqrt(np.prod(leaf.shape[:-1])), leaf.shape), jnp.float32
    )


def test_frozen_leaves_keep_their_bits_and_all_others_move(fine_tuned):
    _, before, after, _ = fine_tuned
    old, new = flatten(before.params), flatten(after.params)
    assert old.keys() == new.keys()
    for path in old:
        frozen = path.startswith("base/") and "block5" not in path
        assert np.array_equal(old[path], new[path]) == frozen, path
    moving = {path for path in old if "block5" in path or path.startswith("head/")}
    assert len(moving) == 3 * 3 + 4
    trainable_bytes = sum(old[path].nbytes for path in moving)
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(after.opt_state)) == trainable_bytes


def test_statistics_of_frozen_layers_keep_their_bits_and_all_others_move(fine_tuned):
    _, before, after, _ = fine_tuned
    old, new = (flatten(state.model_state["batch_stats"]) for state in (before, after))
    assert len(old) == 2 * 13
    assert old.keys() == new.keys()
    for path in old:
        assert np.array_equal(old[path], new[path]) == ("block5" not in path), path


def test_frozen_layers_use_their_running_statistics_in_training(fine_tuned):
    module, state, _, batch = fine_tuned
    variables = {"params": state.params, **state.model_state}
    image = batch["image"]

    @quick
    def both(variables, image):
        (_, training), _ = module.apply(
            variables, image, train=True, keys=batch["key"], mutable=["batch_stats"]
        )
        _, evaluating = module.apply(variables, image)
        return training, evaluating

    training, evaluating = both(variables, image)
    for layer, value in training.items():
        still = layer.startswith("base/") and "block5" not in layer
        assert np.allclose(value, evaluating[layer], rtol=1e-5, atol=1e-6) == still, layer


def test_a_head_only_step_costs_a_forward_pass_and_three_heads():
    """By the compiler's count.

    One read of a frozen gradient, and the backward pass of the base comes back.
    """
    network = build.Network(hidden=64, options={"width": 0.125})
    module = build.classifier(network, classes=2)
    rules = (("head/.*", 1.0), ("base/.*", None))
    size, n = 32, 4
    params = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, size, size, 3)))["params"]
    tx = transform.make(Optimizer(), rules, flatten(params))
    state = jax.eval_shape(lambda p: step.init_state(p, model_state={}, tx=tx, rules=rules), params)
    batch = jax.eval_shape(lambda: batch_of(np.zeros((n, size, size, 3)), np.zeros(n)))
    forward = flops(lambda p, x: module.apply({"params": p}, x)[0], params, batch["image"])
    kernels = sum(np.prod(layer["kernel"].shape) for layer in params["head"].values())
    head = 2 * n * kernels
    bound = 1.01 * forward + 3 * head

    head_only = flops(
        step.make_train_step(apply=module.apply, tx=tx, rules=rules), state, batch, hyper()
    )
    assert forward + head < head_only <= bound
    spatial = [32, 32, 16, 16, 8, 8, 8, 4, 4, 4, 2, 2, 2]
    convs = [layer["kernel"].shape for _, layer in sorted(params["base"].items())]
    macs = sum(s * s * np.prod(shape) for s, shape in zip(spatial, convs, strict=True))
    assert forward == pytest.approx(
        2 * n * macs, rel=0.2
    )  # the compiler does count convolutions; borders are fewer


def flops(function, *arguments):
    return ops.jit(function).lower(*arguments).compile().cost_analysis()["flops"]


def test_the_norm_is_that_of_all_leaves_small_and_large():
    rng = np.random.default_rng(0)
    shapes = {"kernel": (65, 64), "bias": (64,), "scale": (), "other": (3, 3, 2, 4)}
    shapes |= {"more": (4096,), "last": (2, 5)}
    leaves = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    for names in (list(leaves), ["kernel"], ["bias", "scale"]):
        exact = np.sqrt(sum(np.square(leaves[name], dtype=np.float64).sum() for name in names))
        found = step.norm({name: jnp.asarray(leaves[name]) for name in names})
        assert float(found) == pytest.approx(exact, rel=1e-6)
