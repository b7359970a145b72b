import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.errors import InputError
from tljax.models.build import Network, classifier
from tljax.models.heads import Head, Top, rms_norm
from tljax.tasks.classification import CLASSIFICATION

RNG = np.random.default_rng(0)
FEATURES = jnp.asarray(RNG.normal(size=(6, 2, 2, 3)), jnp.float32)
KEYS = jax.random.split(jax.random.key(1), 6)


def filled(module, x=FEATURES, activations=None):
    given = {"activations": activations} if activations else {}
    shapes = jax.eval_shape(module.init, jax.random.key(0), x, **given)["params"]
    return jax.tree.map(
        lambda leaf: jnp.asarray(RNG.normal(0, 0.3, leaf.shape), jnp.float32), shapes
    )


def dense(x, layer):
    return np.asarray(x) @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])


def test_head_by_formula():
    """Flattened in height, width, channel order, as Keras does."""
    head = Head(outputs=3, hidden=5)
    params = filled(head)
    logits, out = head.apply({"params": params}, FEATURES)
    hidden = np.maximum(dense(np.asarray(FEATURES).reshape(6, 12), params["fc1"]), 0)
    np.testing.assert_allclose(out["fc1"], hidden, atol=1e-6)
    np.testing.assert_allclose(logits, dense(hidden, params["predictions"]), atol=1e-6)
    np.testing.assert_array_equal(logits, out["predictions"])


@pytest.mark.parametrize("hidden", [0, 5])
def test_normalised_features_have_a_root_mean_square_of_one(hidden):
    """Each example by its own, so that a base with features of any scale gives the same logits."""
    params, normed = (
        filled(Head(outputs=3, hidden=hidden)),
        Head(outputs=3, hidden=hidden, norm=True),
    )
    root = np.sqrt((np.asarray(FEATURES) ** 2).mean(axis=(1, 2, 3), keepdims=True))
    expected, _ = Head(outputs=3, hidden=hidden).apply({"params": params}, FEATURES / root)
    for scale in (1.0, 15.0):
        np.testing.assert_allclose(
            normed.apply({"params": params}, scale * FEATURES)[0], expected, atol=1e-5
        )


def test_features_of_an_example_that_are_all_zero_stay_zero():
    np.testing.assert_array_equal(rms_norm(jnp.zeros((2, 3))), 0.0)


def test_linear_probe_is_one_layer():
    head = Head(outputs=1, hidden=0)
    params = filled(head)
    assert set(params) == {"predictions"}
    logits, _ = head.apply({"params": params}, FEATURES)
    np.testing.assert_allclose(
        logits, dense(FEATURES.reshape(6, 12), params["predictions"]), atol=1e-6
    )


@pytest.mark.parametrize(("flat", "hidden"), [(True, False), (False, True), (False, False)])
def test_dropout_is_where_it_is_asked_for_and_only_in_training(flat, hidden):
    """At a rate of 1 nothing but the biases after the dropout is left."""
    head = Head(outputs=2, hidden=5, dropout_flat=flat, dropout_hidden=hidden)
    params = filled(head)
    variables = {"params": params}
    plain, _ = head.apply(variables, FEATURES, train=False, rate=1.0, keys=KEYS)
    logits, out = head.apply(variables, FEATURES, train=True, rate=1.0, keys=KEYS)
    first = np.zeros((6, 12)) if flat else np.asarray(FEATURES).reshape(6, 12)
    np.testing.assert_allclose(out["fc1"], np.maximum(dense(first, params["fc1"]), 0), atol=1e-6)
    second = np.zeros((6, 5)) if hidden else out["fc1"]
    np.testing.assert_allclose(logits, dense(second, params["predictions"]), atol=1e-6)
    off, _ = head.apply(variables, FEATURES, train=True, rate=0.0, keys=KEYS)
    np.testing.assert_array_equal(off, plain)


def test_dropout_without_keys_is_refused():
    head = Head(outputs=1, dropout_flat=True)
    with pytest.raises(ValueError, match="needs `keys`"):
        head.apply({"params": filled(head)}, FEATURES, train=True, rate=0.5)


def test_top_by_formula():
    """Flatten in height, width, channel order, two hidden layers with relu, logits."""
    top = Top(outputs=3, hidden=5)
    params = filled(top)
    logits, out = top.apply({"params": params}, FEATURES)
    first = np.maximum(dense(np.asarray(FEATURES).reshape(6, 12), params["fc1"]), 0)
    second = np.maximum(dense(first, params["fc2"]), 0)
    np.testing.assert_allclose(out["fc1"], first, atol=1e-6)
    np.testing.assert_allclose(out["fc2"], second, atol=1e-6)
    np.testing.assert_allclose(logits, dense(second, params["predictions"]), atol=1e-6)
    np.testing.assert_array_equal(logits, out["predictions"])
    assert set(out) == set(params) == {"fc1", "fc2", "predictions"}


def test_top_drops_out_after_both_hidden_layers_with_masks_of_their_own():
    top = Top(outputs=2, hidden=400)
    variables = {"params": filled(top)}
    plain, _ = top.apply(variables, FEATURES, rate=1.0)
    off, _ = top.apply(variables, FEATURES, train=True, rate=0.0, keys=KEYS)
    np.testing.assert_array_equal(off, plain)
    none, out = top.apply(variables, FEATURES, train=True, rate=1.0, keys=KEYS)
    bias = variables["params"]["predictions"]["bias"]
    np.testing.assert_allclose(none, np.broadcast_to(bias, (6, 2)), atol=1e-6)
    np.testing.assert_allclose(
        out["fc2"], np.broadcast_to(np.maximum(variables["params"]["fc2"]["bias"], 0), (6, 400))
    )
    half = {"keys": KEYS, "train": True, "rate": 0.5}
    first, second = (top.apply(variables, FEATURES, **half)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(np.asarray(first) - np.asarray(plain)).max() > 0.1


def test_two_classes_are_a_sigmoid_more_a_softmax():
    assert [CLASSIFICATION.outputs(classes) for classes in (2, 3, 12)] == [1, 3, 12]
    for classes in (1, 0):
        with pytest.raises(InputError, match=f"2 classes or more, found {classes}"):
            CLASSIFICATION.outputs(classes)


def test_logits_are_float32_whatever_the_arithmetic():
    head = Head(outputs=3, hidden=4, dtype=jnp.bfloat16)
    logits, out = head.apply({"params": filled(head)}, FEATURES)
    assert (logits.dtype, out["fc1"].dtype) == (jnp.float32, jnp.bfloat16)


def test_features_with_nothing_in_them_are_refused():
    with pytest.raises(
        InputError, match=r"too small for the base: it leaves features of \(0, 3, 4\)"
    ):
        Head(outputs=1).init(jax.random.key(0), jnp.zeros((2, 0, 3, 4)))


def test_a_classifier_starts_anywhere():
    """From the images, from a layer of the base, or from the head: the same bits,
    and everything named.
    """
    module = classifier(Network(hidden=4, options={"width": 0.0625}), classes=3)
    x = jnp.asarray(RNG.normal(size=(2, 32, 32, 3)), jnp.float32)
    variables = {"params": filled(module, x)}
    logits, out = module.apply(variables, x)
    assert {"base/block1_conv1", "base/block5_pool", "head/fc1", "head/predictions"} <= set(out)
    np.testing.assert_array_equal(logits, out["head/predictions"])
    for start, cached in [("block5_conv1", "base/block4_pool"), ("head", "base/block5_pool")]:
        again, tail = module.apply(variables, out[cached], start=start)
        np.testing.assert_array_equal(again, logits)
        assert set(tail) < set(out)


def test_a_head_that_reads_layers_joins_their_means_each_by_its_own_size():
    """A map by its places, tokens by those that are no padding, then the flattened output."""
    tokens = jnp.asarray(RNG.normal(size=(6, 4, 5)), jnp.float32).at[:, 3].set(0.0)
    activations = {"map": 7.0 * FEATURES, "tokens": tokens, "other": FEATURES}
    head = Head(outputs=2, hidden=0, norm=True, reads=("map", "tokens"))
    params = filled(head, FEATURES[:, 0], activations)
    logits, _ = head.apply({"params": params}, FEATURES[:, 0], activations=activations)
    parts = [
        np.asarray(FEATURES).mean((1, 2)),
        np.asarray(tokens)[:, :3].mean(1),
        np.asarray(FEATURES)[:, 0].reshape(6, 6),
    ]
    sized = [part / np.sqrt((part**2).mean(1, keepdims=True)) for part in parts]
    joined = np.concatenate(sized, axis=1)
    np.testing.assert_allclose(logits, dense(joined, params["predictions"]), atol=1e-4)
    means = {"map": 7.0 * parts[0], "tokens": parts[1]}
    kept, _ = head.apply({"params": params}, FEATURES[:, 0], activations=means)
    np.testing.assert_allclose(kept, logits, atol=1e-5)
