import numpy as np
import pytest
from scipy import stats

from tljax.errors import InputError
from tljax.methods import transferability
from tljax.methods.transferability import cka, h_score, ledoit_wolf, logme

RNG = np.random.default_rng(0)
LABELS = np.arange(30) % 3
NOISE = RNG.normal(size=(30, 6))
APART = NOISE + 3 * np.eye(6)[LABELS]


@pytest.mark.parametrize("width", [6, 50])
def test_the_evidence_is_that_of_the_normal_distribution_at_its_peak(width):
    x, y = RNG.normal(size=(30, width)), (LABELS == 1).astype(float)
    left, singular, _ = np.linalg.svd(x, full_matrices=False)
    found, alpha, beta = transferability._evidence(left, singular**2, width, y)

    def evidence(alpha, beta):
        return (
            stats.multivariate_normal(np.zeros(30), np.eye(30) / beta + x @ x.T / alpha).logpdf(y)
            / 30
        )

    assert found == pytest.approx(evidence(alpha, beta), rel=1e-6)
    for factor in (0.8, 1.25):
        assert evidence(alpha * factor, beta) <= found + 1e-6
        assert evidence(alpha, beta * factor) <= found + 1e-6


def test_logme_is_the_mean_over_classes_and_prefers_features_that_tell():
    left, singular, _ = np.linalg.svd(APART, full_matrices=False)
    each = [
        transferability._evidence(left, singular**2, 6, (k == LABELS).astype(float))[0]
        for k in range(3)
    ]
    assert logme(APART, LABELS) == pytest.approx(np.mean(each))
    assert logme(APART, LABELS) > logme(NOISE, LABELS)


def test_the_h_score_straight_from_its_definition():
    x = APART - APART.mean(0)
    means = np.stack([x[k == LABELS].mean(0) for k in range(3)])[LABELS]
    covariance, shrinkage = ledoit_wolf(x)
    expected = (1 - shrinkage) * np.trace(np.linalg.inv(covariance) @ (means.T @ means / 30))
    assert h_score(APART, LABELS) == pytest.approx(expected)
    assert 2 > h_score(APART, LABELS) > h_score(NOISE, LABELS) > 0


def test_shrinkage_straight_from_ledoit_and_wolf():
    x = RNG.normal(size=(12, 5)) * np.arange(1, 6)
    x -= x.mean(0)
    sample = x.T @ x / 12
    mu = np.trace(sample) / 5
    distance = np.linalg.norm(sample - mu * np.eye(5)) ** 2 / 5
    noise = sum(np.linalg.norm(np.outer(row, row) - sample) ** 2 / 5 for row in x) / 12**2
    covariance, shrinkage = ledoit_wolf(x)
    assert shrinkage == pytest.approx(min(noise, distance) / distance)
    np.testing.assert_allclose(covariance, shrinkage * mu * np.eye(5) + (1 - shrinkage) * sample)


def test_cka_is_that_of_the_centred_grams_and_blind_to_rotation_and_scale():
    y = RNG.normal(size=(30, 40))
    centre = np.eye(30) - 1 / 30
    k, m = (centre @ z @ z.T @ centre for z in (NOISE, y))
    assert cka(NOISE, y) == pytest.approx((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))
    turn = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
    assert cka(NOISE, 7 * NOISE @ turn + 3) == pytest.approx(1)
    assert cka(NOISE, y) == cka(y, NOISE) < 1
    assert cka(NOISE, np.zeros((30, 2))) == 0


def test_one_class_is_refused():
    with pytest.raises(InputError, match="expected photographs of two or more classes, found 1"):
        logme(NOISE, np.zeros(30))
