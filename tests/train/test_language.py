"""The task of the next token."""

import jax.numpy as jnp
import numpy as np
import pytest

from tljax.errors import InputError
from tljax.optim.objective import Objective
from tljax.tasks.known import from_dict
from tljax.tasks.language import Language
from tljax.tasks.task import sums

TASK = Language(vocabulary=5)
LABELS = np.array([[1, 2, 0], [4, 0, 0]], np.int32)
LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 5)), jnp.float32)


def nats():
    """The cross entropy of each token that is no padding, written out."""
    rows = np.asarray(LOGITS, np.float64)
    each = np.log(np.exp(rows).sum(-1)) - np.take_along_axis(rows, LABELS[..., None], 2)[..., 0]
    return each * (LABELS != 0)


def test_losses_and_perplexity_by_the_formula():
    expected = nats().sum(1) / np.array([2, 1])
    np.testing.assert_allclose(TASK.losses(LOGITS, LABELS), expected, rtol=1e-5)
    scores = TASK.scores(sums(TASK, LOGITS, jnp.asarray(LABELS)))
    assert scores == {"perplexity": pytest.approx(np.exp(nats().sum() / 3), rel=1e-5)}
    masked = TASK.scores(sums(TASK, LOGITS, jnp.asarray(LABELS), jnp.array([0.0, 1.0])))
    assert masked["perplexity"] == pytest.approx(np.exp(nats()[1].sum()), rel=1e-5)


def test_what_is_kept_gives_the_same_scores():
    kept = np.asarray(TASK.kept(LOGITS, jnp.asarray(LABELS)))
    judged = TASK.judged(kept, LABELS)
    assert judged["perplexity"] == pytest.approx(np.exp(nats().sum() / 3), rel=1e-5)
    assert judged["loss"] == pytest.approx((nats().sum(1) / np.array([2, 1])).mean(), rel=1e-5)


def test_a_constant_answer_is_the_frequencies():
    share = np.array([1, 1, 0, 1]) / 3
    expected = [-np.log(share[[0, 1]]).mean(), -np.log(share[3])]
    np.testing.assert_allclose(TASK.constant_losses(LABELS), expected)


def test_smoothing_is_towards_all_tokens():
    smooth = TASK.losses(LOGITS, LABELS, Objective(label_smoothing=0.1))
    rows = np.asarray(LOGITS, np.float64)
    even = np.log(np.exp(rows).sum(-1)) - rows.mean(-1)
    each = 0.9 * nats() + 0.1 * even * (LABELS != 0)
    np.testing.assert_allclose(smooth, each.sum(1) / np.array([2, 1]), rtol=1e-5)


def test_what_it_does_not_have_is_named():
    with pytest.raises(InputError, match="neither class weights nor mixup"):
        TASK.settled(Objective(mixup=0.2), LABELS, classes=1)
    with pytest.raises(InputError, match="expected tokens below 5, found 9"):
        TASK.check("here", np.array([[9]]), classes=1)
    with pytest.raises(InputError, match=r"here: labels: expected tokens \[2, T\]"):
        TASK.checked("here", np.zeros(2, np.int32), count=2)
    assert from_dict(TASK.to_dict()) == TASK
