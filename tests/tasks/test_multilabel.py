"""Several labels, by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.errors import InputError
from tljax.optim.objective import PLAIN, Objective
from tljax.tasks.marks import average_precision, f1, thresholded, thresholds
from tljax.tasks.multilabel import MULTILABEL

LOGITS = np.array([[2.0, -1.0], [0.0, 3.0], [-0.5, -2.0]], np.float32)
LABELS = np.array([[1, 0], [0, 1], [1, 0]], np.uint8)


def cross_entropy(z, y):
    return np.log1p(np.exp(z)) - y * z


def drawn(count=400, seed=0):
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 4)) < [0.1, 0.3, 0.5, 0.8]).astype(np.uint8)
    return (1.5 * labels + rng.normal(size=labels.shape) - 1).astype(np.float32), labels


def test_the_loss_is_the_mean_over_the_classes():
    expected = cross_entropy(LOGITS.astype(float), LABELS).mean(1)
    np.testing.assert_allclose(MULTILABEL.losses(jnp.asarray(LOGITS), LABELS), expected, rtol=1e-6)
    np.testing.assert_allclose(MULTILABEL.kept_losses(LOGITS, LABELS), expected, rtol=1e-7)


def test_weights_count_the_examples_that_have_a_class():
    weighted = MULTILABEL.settled(Objective(class_weights="balanced"), LABELS, classes=2)
    assert weighted.class_weights == (0.5, 2.0)  # one without and two with; two without, one with
    found = MULTILABEL.losses(jnp.asarray(LOGITS), LABELS, weighted)
    each = cross_entropy(LOGITS.astype(float), LABELS) * np.where(LABELS, [0.5, 2.0], 1)
    np.testing.assert_allclose(found, each.mean(1), rtol=1e-6)


@pytest.mark.parametrize(
    "objective",
    [PLAIN, Objective(label_smoothing=0.2), Objective(class_weights=(3.0, 1.0, 1.0, 0.5))],
)
def test_the_constant_loss_is_the_least_of_any_constant(objective):
    from scipy.optimize import minimize

    _, labels = drawn()

    @jax.jit
    def loss(z):
        logits = jnp.broadcast_to(z.astype(jnp.float32), labels.shape)
        return MULTILABEL.losses(logits, jnp.asarray(labels), objective).mean()

    least = minimize(loss, np.zeros(4), jac=jax.grad(loss), method="BFGS", tol=1e-4).fun
    told = MULTILABEL.constant_loss(labels, objective, classes=4)
    assert told == pytest.approx(least, rel=1e-4)
    if objective == PLAIN:
        assert MULTILABEL.constant_losses(labels).mean() == pytest.approx(told)


def test_f1_by_counts():
    # of 3 that have it 2 are found, and 1 is given besides: 2 * 2 / (3 + 3)
    np.testing.assert_allclose(f1([2, 0], [3, 0], [3, 0]), [2 / 3, math.nan])


def exact(logits, labels):
    """Precision at the rank of each example that has the class, averaged."""
    order = np.argsort(-logits, kind="stable")
    present = labels[order] > 0
    return (np.cumsum(present) / np.arange(1, len(present) + 1))[present].mean()


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_from_bins_is_that_of_the_ranks(seed):
    logits, labels = drawn(seed=seed)
    task = MULTILABEL.fitted(labels)
    figures = {name: each.sum(0) for name, each in task.kept_figures(logits, labels).items()}
    found = average_precision(figures["marked"], figures["others"])
    expected = [exact(logits[:, i], labels[:, i]) for i in range(4)]
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert task.judged(logits, labels)["mAP"] == pytest.approx(found.mean())


def test_a_random_order_has_the_share_and_a_perfect_one_1():
    labels = np.repeat([[1], [0]], [30, 70], axis=0).astype(np.uint8)
    task = MULTILABEL.fitted(labels)
    assert task.judged(np.zeros((100, 1)), labels)["mAP"] == pytest.approx(0.3, abs=0.01)
    perfect = task.judged(8.0 * labels - 4.0, labels)
    # Within the first of two bins the thirty stand in its middle, which is as good as its end.
    assert perfect == {"mAP": 1.0, "F1": 1.0, "F1 fitted": 1.0, "loss": perfect["loss"], "n": 100}


def test_a_label_is_given_that_is_likelier_than_in_training_or_than_a_half():
    _, labels = drawn()
    share = labels.mean(0)
    task = MULTILABEL.fitted(labels)
    np.testing.assert_allclose(task.thresholds, np.minimum(share, 0.5))
    least = np.log(task.thresholds / (1 - task.thresholds))
    above = task.kept_figures(np.stack([least - 0.01, least + 0.01]), np.zeros((2, 4), np.uint8))
    np.testing.assert_array_equal(above["given"], [[False] * 4, [True] * 4])
    np.testing.assert_array_equal(MULTILABEL.thresholds, 0.5)


def test_fitted_thresholds_have_the_highest_f1():
    logits, labels = drawn()
    found = thresholds(logits, labels)
    for i in range(4):
        scores = [
            2
            * ((logits[:, i] > cut) & (labels[:, i] > 0)).sum()
            / ((logits[:, i] > cut).sum() + labels[:, i].sum())
            for cut in np.linspace(-4, 4, 500)
        ]
        best = (
            2
            * ((logits[:, i] > found[i]) & (labels[:, i] > 0)).sum()
            / ((logits[:, i] > found[i]).sum() + labels[:, i].sum())
        )
        assert best >= max(scores) - 1e-9


def test_no_example_decides_its_own_threshold():
    """Turning its labels round changes what is given to others, and never to itself."""
    logits, labels = drawn(count=40)
    given = thresholded(logits, labels)["given"]
    for i in range(0, 40, 7):
        turned = labels.copy()
        turned[i] = 1 - turned[i]
        np.testing.assert_array_equal(thresholded(logits, turned)["given"][i], given[i])


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (np.array([[0, 2]]), "expected 0 or 1, found 2"),
        (np.array([0, 1]), "expected 0 or 1 for each of 1 images and each class, found int64"),
        (np.array([[0.5, 1.0]]), "found float64"),
    ],
)
def test_other_labels_are_refused_in_one_line(labels, found):
    with pytest.raises(InputError, match=found) as error:
        MULTILABEL.checked("train", labels, count=1)
    assert "\n" not in str(error.value)


def test_a_class_above_the_list_is_refused():
    with pytest.raises(InputError, match="expected 2 columns, a class each, found 3"):
        MULTILABEL.check("train", np.zeros((4, 3), np.uint8), classes=2)
