"""The group lasso by formula: its step, its conditions, and both ends of its strengths."""

import jax
import numpy as np
import pytest

from tljax.linear.logistic import fit_logistic
from tljax.methods.group_lasso import group_lasso, proximal


def drawn(count, width, classes, *, seed=0):
    """Classes of which the first two features tell, among others that do not."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % classes).astype(np.int32)
    rows = rng.normal(size=(count, width))
    rows[:, :2] += rng.normal(size=(classes, 2))[labels]
    return rows, labels


def everyone(count):
    return np.full((1, count), 1 / count)


def solved(rows, labels, *, classes, share, tolerance=1e-7, weights=None):
    with jax.enable_x64(True):
        weights = everyone(len(rows)) if weights is None else weights
        options = {"classes": classes, "shares": [share], "tolerance": tolerance}
        (found,) = group_lasso(rows, labels, weights, **options)
    return found


def slopes(rows, labels, kernel, bias):
    """Of the mean log loss, written out: a row for each feature."""
    logits = (rows - rows.mean(0)) @ kernel + bias
    if kernel.shape[1] == 1:
        off = 1 / (1 + np.exp(-logits)) - labels[:, None]
    else:
        chances = np.exp(logits - logits.max(1, keepdims=True))
        off = chances / chances.sum(1, keepdims=True) - np.eye(kernel.shape[1])[labels]
    return (rows - rows.mean(0)).T @ off / len(rows)


def test_a_row_is_shortened_and_no_further_than_to_nothing():
    kernel = np.array([[3.0, 4.0], [0.3, -0.4], [0.0, 0.0], [0.0, 2.5]])
    found = np.asarray(proximal(kernel, 1.0))
    np.testing.assert_allclose(found, [[3 * 4 / 5, 4 * 4 / 5], [0, 0], [0, 0], [0, 1.5]], rtol=1e-6)
    single = np.asarray(proximal(np.array([[2.0], [-2.0], [0.5]]), 0.5))  # one logit: the lasso's
    np.testing.assert_allclose(single, [[1.5], [-1.5], [0.0]])


@pytest.mark.parametrize("classes", [2, 3])
def test_from_the_least_strength_on_nothing_is_left_but_frequencies(classes):
    rows, labels = drawn(60, 8, classes)
    labels = np.where(labels == 1, 0, labels).astype(np.int32)
    labels[:12] = 1
    found = solved(rows, labels, classes=classes, share=1.0)
    assert not found.kernel.any()
    shares = np.bincount(labels, minlength=classes) / len(labels)
    logs = np.log(shares)
    np.testing.assert_allclose(
        found.bias[0] - found.bias[0].mean() if classes > 2 else found.bias[0],
        logs - logs.mean() if classes > 2 else [logs[1] - logs[0]],
        atol=1e-6,
    )
    steepest = np.linalg.norm(slopes(rows, labels, found.kernel[:, 0], found.bias[0]), axis=1)
    assert found.strength[0] == pytest.approx(steepest.max())
    below = solved(rows, labels, classes=classes, share=0.98)
    assert np.flatnonzero(below.kernel.any((1, 2))).tolist() == [steepest.argmax()]
    assert below.scores[0].argmax() == steepest.argmax()


@pytest.mark.parametrize("classes", [2, 3])
def test_each_row_meets_its_condition(classes):
    """Slope + strength * row / |row| = 0 where a row is not 0, |slope| <= strength where it is."""
    rows, labels = drawn(60, 20, classes)
    found = solved(rows, labels, classes=classes, share=0.3)
    kernel, strength = found.kernel[:, 0], found.strength[0]
    slope, norms = (
        slopes(rows, labels, kernel, found.bias[0]),
        np.linalg.norm(kernel, axis=1, keepdims=True),
    )
    active = norms[:, 0] > 0
    assert 0 < active.sum() < 20
    pull = slope[active] + strength * kernel[active] / norms[active]
    np.testing.assert_allclose(pull, 0, atol=1e-5 * strength)
    outside = np.linalg.norm(slope[~active], axis=1)
    assert (outside <= strength).all()
    # Relevance: rows by their norms, then the others by their slopes.
    order = np.argsort(-found.scores[0])
    expected = np.concatenate(
        [
            np.flatnonzero(active)[np.argsort(-norms[active, 0])],
            np.flatnonzero(~active)[np.argsort(-outside)],
        ]
    )
    np.testing.assert_array_equal(order, expected)


@pytest.mark.parametrize("classes", [2, 3])
def test_without_strength_it_is_logistic_regression(classes):
    rows, labels = drawn(300, 6, classes)
    found = solved(rows, labels, classes=classes, share=0.0)
    kernel, bias, _ = fit_logistic(rows, labels, classes=classes, strengths=[1e-9])
    np.testing.assert_allclose(found.kernel[:, 0], kernel, atol=1e-4)
    shifted = found.bias[0] - rows.mean(0) @ found.kernel[:, 0]
    centre = (lambda x: x - x.mean()) if classes > 2 else (lambda x: x)
    np.testing.assert_allclose(centre(shifted), centre(bias), atol=1e-4)


def test_a_fit_that_does_not_see_examples_is_the_fit_without_them():
    rows, labels = drawn(60, 12, 2)
    seen = np.arange(60) % 5 != 0
    weights = np.stack([np.ones(60) / 60, seen / seen.sum()])
    both = solved(rows, labels, classes=2, share=0.2, weights=weights)
    alone = solved(rows[seen], labels[seen], classes=2, share=0.2)
    np.testing.assert_allclose(both.kernel[:, 1], alone.kernel[:, 0], atol=1e-5)
    np.testing.assert_allclose(both.strength[1], alone.strength[0], rtol=1e-6)
    assert np.abs(both.kernel[:, 0] - both.kernel[:, 1]).max() > 1e-3
