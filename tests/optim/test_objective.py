import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.errors import InputError
from tljax.models.classifiers import Kept
from tljax.optim.objective import (
    Objective,
    mixed,
    neighbours,
)
from tljax.tasks.classification import CLASSIFICATION, balanced

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]])
LABELS = np.array([0, 2])


def log_softmax(z):
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def test_smoothing_moves_a_share_evenly_over_all_classes():
    targets = np.full((2, 3), 0.3 / 3)
    targets[[0, 1], LABELS] += 0.7
    found = CLASSIFICATION.losses(
        jnp.asarray(LOGITS), jnp.asarray(LABELS), Objective(label_smoothing=0.3)
    )
    np.testing.assert_allclose(found, -(targets * log_softmax(LOGITS)).sum(1), rtol=1e-6)


def test_smoothing_a_sigmoid_is_smoothing_two_classes():
    logits, labels = np.array([[1.5], [-0.5]]), np.array([0, 1])
    targets = np.where(labels == 1, 0.8 + 0.1, 0.1)
    p = 1 / (1 + np.exp(-logits[:, 0]))
    found = CLASSIFICATION.losses(
        jnp.asarray(logits), jnp.asarray(labels), Objective(label_smoothing=0.2)
    )
    np.testing.assert_allclose(
        found, -(targets * np.log(p) + (1 - targets) * np.log(1 - p)), rtol=1e-6
    )


@pytest.mark.parametrize("logits", [LOGITS, LOGITS[:, :1]])
def test_weights_are_those_of_the_labels(logits):
    weights = (0.5, 2.0, 3.0)
    labels = jnp.asarray(LABELS[: len(logits)]) if logits.shape[1] == 3 else jnp.array([1, 0])
    plain = CLASSIFICATION.losses(jnp.asarray(logits), labels)
    found = CLASSIFICATION.losses(jnp.asarray(logits), labels, Objective(class_weights=weights))
    np.testing.assert_allclose(found, plain * np.array(weights)[np.asarray(labels)], rtol=1e-6)


def test_balanced_weights_give_each_class_the_same_part_and_mean_one():
    labels = np.array([0, 0, 0, 1, 2, 2])
    weights = np.array(balanced(labels, classes=3))
    np.testing.assert_allclose(weights * np.bincount(labels), [2, 2, 2])
    assert weights[labels].mean() == pytest.approx(1)
    with pytest.raises(InputError, match="class 3 has no training example"):
        balanced(labels, classes=4)


def test_mixing_is_with_the_neighbour_and_mostly_oneself():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(64, 2, 2, 3)), jnp.float32)
    keys = jax.random.split(jax.random.key(1), 64)
    mix, share = mixed(images, keys, alpha=0.4)
    by_image = np.asarray(share)[:, None, None, None]
    np.testing.assert_allclose(
        mix, by_image * images + (1 - by_image) * np.roll(images, 1, 0), atol=1e-6
    )
    assert 0.5 <= share.min() < 0.7
    assert 0.99 < share.max() <= 1
    np.testing.assert_array_equal(neighbours(jnp.arange(3)), [2, 0, 1])
    # Of an example's own key: the rest of the batch does not change it.
    np.testing.assert_array_equal(mixed(images[:5], keys[:5], alpha=0.4)[1], share[:5])


def test_whole_numbers_are_not_mixed():
    """A share of them is no number: each text would get its neighbour's words."""
    keys = jax.random.split(jax.random.key(1), 3)
    for whole in (jnp.arange(6).reshape(3, 2), jnp.zeros((3, 2, 2, 3), jnp.uint8)):
        with pytest.raises(InputError, match=f"expected floats to mix, found {whole.dtype}"):
            mixed(whole, keys, alpha=0.2)


def test_what_a_head_reads_is_mixed_with_the_same_shares():
    """A head of masks reads several layers of a frozen prefix."""
    draw, keys = np.random.default_rng(0), jax.random.split(jax.random.key(1), 5)
    last, early = (jnp.asarray(draw.normal(size=(5, n, 3)), jnp.float32) for n in (2, 4))
    mix, _ = mixed(Kept(last, {"early": early}), keys, alpha=0.4)
    np.testing.assert_array_equal(mix.x, mixed(last, keys, alpha=0.4)[0])
    np.testing.assert_array_equal(mix.read["early"], mixed(early, keys, alpha=0.4)[0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"label_smoothing": 1.0}, "label_smoothing must be from 0 to below 1, found 1.0"),
        ({"mixup": -0.1}, "mixup must be 0 or a positive number, found -0.1"),
        (
            {"class_weights": "even"},
            "class_weights: expected numbers or \"balanced\", found 'even'",
        ),
        (
            {"class_weights": (1.0, 0.0)},
            r"class_weights must be positive numbers, found \(1.0, 0.0\)",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Objective(**wrong)


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"label_smoothing": 0.2},
        {"class_weights": "balanced"},
        {"class_weights": (3.0, 1.0, 0.5), "label_smoothing": 0.1},
    ],
    ids=str,
)
def test_no_constant_prediction_has_a_lower_loss(outputs, options):
    """Found by descent over the one row of logits that all examples share."""
    import scipy.optimize

    classes = max(outputs, 2)
    labels = np.repeat(np.arange(classes), [9, 4, 2][:classes])
    if isinstance(weights := options.get("class_weights"), tuple):
        options = {**options, "class_weights": weights[:classes]}
    told = Objective(**options)
    applied = (
        told
        if weights != "balanced"
        else Objective(class_weights=balanced(labels, classes=classes))
    )

    def loss(row):
        logits = jnp.broadcast_to(jnp.asarray(row, jnp.float32), (len(labels), outputs))
        return CLASSIFICATION.losses(logits, jnp.asarray(labels), applied).mean()

    descended = scipy.optimize.minimize(
        loss, np.zeros(outputs), jac=jax.grad(loss), method="BFGS", tol=1e-4
    )
    assert CLASSIFICATION.constant_loss(labels, told, classes=classes) == pytest.approx(
        descended.fun, rel=1e-4
    )
