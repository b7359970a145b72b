import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import log_softmax

from tljax.data.folds import stratified
from tljax.errors import InputError
from tljax.linear import fits
from tljax.linear.logistic import STRENGTHS, fit_logistic


def drawn(count, width, classes, *, apart=1.0, seed=0):
    """Classes with means `apart`, in features that are far from 0."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % classes).astype(np.int32)
    centres = rng.normal(size=(classes, width)) * apart
    return (centres[labels] + rng.normal(size=(count, width)) + 3).astype(np.float32), labels


def log_chances(features, kernel, bias):
    logits = features.reshape(len(features), -1).astype(np.float64) @ kernel + bias
    both = (
        logits if logits.shape[1] > 1 else np.concatenate([np.zeros_like(logits), logits], axis=1)
    )
    return log_softmax(both, axis=1)


def slopes(features, labels, kernel, bias, penalty):
    """Of the objective, written out in the features' own coordinates: (of the kernel,
    of the bias).
    """
    chances = np.exp(log_chances(features, kernel, bias))
    off = ((chances - np.eye(chances.shape[1])[labels]) / len(labels))[:, -kernel.shape[1] :]
    return features.T @ off + penalty * kernel, off.sum(axis=0)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize(("count", "width"), [(40, 300), (300, 12)])
def test_the_gradient_vanishes_in_the_features_own_coordinates(classes, count, width):
    features, labels = drawn(count, width, classes)
    kernel, bias, solution = fit_logistic(
        features, labels, classes=classes, strengths=(1e-1, 1e-2, 1e-3)
    )
    spread = ((features - features.mean(axis=0)) ** 2).sum(axis=1).mean()
    assert solution.scale == pytest.approx(math.sqrt(spread), rel=1e-5)
    outputs = 1 if classes == 2 else classes
    assert (kernel.shape, bias.shape, kernel.dtype) == ((width, outputs), (outputs,), np.float32)
    found = slopes(features, labels, kernel, bias, solution.strength * spread)
    assert max(np.abs(part).max() for part in found) < 1e-5
    assert np.abs(kernel).max() > 1e-3


def test_two_points_have_the_solution_of_the_textbook():
    """Of log(1 + exp(-k)) + s k^2 / 2 the slope is s k - 1 / (1 + exp(k)),
    nothing at k = 1 where s = 1 / (1 + e).
    """
    features = np.array([[-1.0], [1.0]])
    kernel, bias, solution = fit_logistic(
        features, np.array([0, 1]), classes=2, strengths=[1 / (1 + math.e)]
    )
    assert solution.scale == 1.0
    np.testing.assert_allclose(kernel, 1.0, atol=1e-6)
    np.testing.assert_allclose(bias, 0.0, atol=1e-6)
    kernel, bias, _ = fit_logistic(
        15 * features + 7, np.array([0, 1]), classes=2, strengths=[1 / (1 + math.e)]
    )
    np.testing.assert_allclose(kernel, 1 / 15, atol=1e-7)
    np.testing.assert_allclose(bias, -7 / 15, atol=1e-6)


def test_classes_that_can_be_separated_do_not_blow_up():
    features, labels = drawn(60, 200, 3, apart=4.0)
    kernel, bias, solution = fit_logistic(features, labels, classes=3, strengths=(1.0, 1e-3, 1e-9))
    assert solution.strength == 1e-9
    assert np.isfinite(kernel).all()
    assert np.abs(features @ kernel + bias).max() < 100
    assert (log_chances(features, kernel, bias).argmax(axis=1) == labels).all()


def test_a_strength_is_judged_by_fits_that_have_not_seen_the_examples():
    """Each fold by a fit of its own, to the others alone; its unit is that of its own features."""
    features, labels = drawn(30, 20, 2, apart=0.3)
    _, _, solution = fit_logistic(features, labels, classes=2, folds=3, seed=7)
    fold = stratified(labels, k=3, seed=7)
    losses, right = np.empty((2, 30))
    strength, at = 1e-2, [math.isclose(each, 1e-2) for each in STRENGTHS].index(True)
    for i in range(3):
        seen, held = fold != i, fold == i
        spread = ((features[seen] - features[seen].mean(axis=0)) ** 2).sum(axis=1).mean()
        own = [strength * solution.scale**2 / spread]
        kernel, bias, _ = fit_logistic(features[seen], labels[seen], classes=2, strengths=own)
        said = log_chances(features[held], kernel, bias)
        losses[held], right[held] = (
            -said[np.arange(held.sum()), labels[held]],
            said.argmax(axis=1) == labels[held],
        )
    assert solution.loss[at] == pytest.approx(losses.mean(), abs=1e-4)
    assert solution.accuracy[at] == right.mean()
    assert solution.standard_error[at] == pytest.approx(losses.std() / math.sqrt(30), abs=1e-4)
    assert solution.strength == STRENGTHS[int(np.argmin(solution.loss))]
    assert 1e-6 < solution.strength < 1  # of features that say little: neither end of the path


def test_the_seed_deals_the_folds_out_and_decides_nothing_else():
    features, labels = drawn(30, 20, 2, apart=0.3)
    first, again, other = (
        fit_logistic(features, labels, classes=2, seed=seed) for seed in (0, 0, 1)
    )
    assert first[2] == again[2] != other[2]
    np.testing.assert_array_equal(first[0], again[0])
    one, two = (
        fit_logistic(features, labels, classes=2, seed=seed, strengths=[0.1])[0] for seed in (0, 1)
    )
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_features_that_are_all_alike_leave_the_frequencies():
    features, labels = np.full((8, 5), 0.1, np.float32), np.array([0, 1, 1, 1, 0, 1, 1, 1])
    kernel, bias, _ = fit_logistic(features, labels, classes=2)
    assert not kernel.any()
    np.testing.assert_allclose(bias, math.log(3), atol=1e-5)


def test_a_class_of_one_example_is_never_held_out():
    """Without it a fit would make nothing of its class, and one loss would drown all others."""
    features, labels = drawn(21, 40, 2, apart=2.0)
    labels[0] = 2
    kernel, bias, solution = fit_logistic(features, labels, classes=3)
    assert max(solution.loss) < 1.2
    assert log_chances(features, kernel, bias)[0].argmax() == 2
    with pytest.raises(InputError, match=r"^linear: no class has two examples"):
        fit_logistic(features[:3], np.arange(3), classes=3)


def test_many_examples_of_many_features_are_solved_without_a_factorisation(monkeypatch):
    features, labels = drawn(50, 70, 3)
    expected, free, _ = fit_logistic(features, labels, classes=3, strengths=[1e-2])
    monkeypatch.setattr(fits, "LARGEST", 49)
    monkeypatch.setattr(fits, "_basis", None)
    kernel, bias, _ = fit_logistic(features, labels, classes=3, strengths=[1e-2])
    np.testing.assert_allclose(kernel, expected, atol=1e-4)
    np.testing.assert_allclose(bias, free, atol=1e-4)


def test_strengths_may_come_in_any_order():
    features, labels = drawn(30, 20, 2)
    _, _, solution = fit_logistic(features, labels, classes=2, strengths=(1e-3, 1.0, 1e-2))
    assert all(a > b for a, b in pairwise(solution.strengths))
    assert solution.said().startswith(
        f"strength {solution.strength:.1e} of 3 by 5 folds, held out "
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": 3}, "expected an example or more of each of 3 classes, none is of 2"),
        ({"labels": np.array([0, 1, 2, 1])}, "expected labels from 0 to 1, found 2"),
        ({"features": np.full((4, 2), np.nan)}, "expected finite features, found NaN or infinity"),
        ({"strengths": ()}, r"expected positive strengths, found \[\]"),
        ({"strengths": (1.0, 0.0)}, r"expected positive strengths, found \[1.0, 0.0\]"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(change, said):
    given = {"features": np.eye(4, 2), "labels": np.array([0, 1, 0, 1]), "classes": 2} | change
    with pytest.raises(InputError, match=f"^linear: {said}$"):
        fit_logistic(**given)
