"""Numbers, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from tljax.errors import InputError
from tljax.optim.objective import Objective
from tljax.tasks.regression import REGRESSION

RNG = np.random.default_rng(0)
LABELS = (RNG.normal(size=(30, 2)) * [4.0, 0.1] + [50.0, -2.0]).astype(np.float32)
TASK = REGRESSION.fitted(LABELS)
LOGITS = RNG.normal(size=(30, 2)).astype(np.float32)


def test_a_logit_of_0_is_the_mean_and_of_1_a_deviation_more():
    values = LABELS.astype(float)
    np.testing.assert_allclose(TASK.mean, values.mean(0))
    np.testing.assert_allclose(
        TASK.predicted(np.array([0.0, 1.0])),
        [values[:, 0].mean(), values[:, 1].mean() + values[:, 1].std()],
    )
    np.testing.assert_allclose(TASK.answers(jnp.asarray(LOGITS)), TASK.predicted(LOGITS), rtol=1e-5)


def test_loss_r2_and_error_by_formula():
    told, true = TASK.predicted(LOGITS), LABELS.astype(float)
    scores = TASK.judged(LOGITS, LABELS)
    r2 = 1 - ((told - true) ** 2).sum(0) / ((true - true.mean(0)) ** 2).sum(0)
    assert scores["R2"] == pytest.approx(r2.mean())
    assert scores["MAE"] == pytest.approx(np.abs(told - true).mean())
    loss = 0.5 * (((told - true) / true.std(0)) ** 2).mean()
    assert scores["loss"] == pytest.approx(loss)
    assert float(TASK.losses(jnp.asarray(LOGITS), jnp.asarray(LABELS)).mean()) == pytest.approx(
        loss, rel=1e-5
    )
    r2_each, mae_each = TASK.each({**_summed(), "count": 30.0})
    np.testing.assert_allclose(r2_each, r2)
    np.testing.assert_allclose(mae_each, np.abs(told - true).mean(0))


def _summed():
    return {name: each.sum(0) for name, each in TASK.kept_figures(LOGITS, LABELS).items()}


def test_the_mean_of_these_labels_has_r2_0_and_the_constant_loss():
    constant = np.zeros_like(LOGITS)
    scores = TASK.judged(constant, LABELS)
    assert scores["R2"] == pytest.approx(0, abs=1e-6)
    assert scores["loss"] == pytest.approx(TASK.constant_loss(LABELS, classes=2))
    assert TASK.constant_losses(LABELS).mean() == pytest.approx(0.5)


def test_a_number_each_may_be_one_dimensional():
    assert REGRESSION.checked("train", np.arange(3), count=3).shape == (3, 1)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (np.array(["1", "2"]), "expected numbers for each of 2 images, found <U1"),
        (np.array([1.0, np.nan]), "expected finite numbers, found NaN or infinite"),
        (np.array([1.0]), "expected numbers for each of 2 images, found float64"),
    ],
)
def test_other_labels_are_refused_in_one_line(labels, found):
    with pytest.raises(InputError, match=found):
        REGRESSION.checked("train", labels, count=2)


def test_a_number_that_never_differs_is_refused():
    with pytest.raises(InputError, match=r"found 3 in all training examples \(number 1\)"):
        REGRESSION.fitted(np.array([[1.0, 3.0], [2.0, 3.0]]))


@pytest.mark.parametrize("objective", [Objective(class_weights="balanced"), Objective(0.1)])
def test_what_only_classes_have_is_refused(objective):
    with pytest.raises(InputError, match="a regression has no"):
        REGRESSION.settled(objective, LABELS, classes=2)
