"""How well features fit a task before any training on them: LogME, H-score, linear CKA.

All take pooled features `[N, D]` and compute in float64.
"""

# pyright: strict
# pyright: reportUnknownArgumentType=false

import numpy as np

from tljax.errors import InputError

ROUNDS, TOLERANCE = 100, 1e-6


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Compute the log evidence of Bayesian linear regressions on class indicators, per photograph.

    Averaged over classes; higher is better. You et al. 2021, "LogME: practical assessment of
    pre-trained models for transfer learning".
    """
    x = np.asarray(features, np.float64)
    indicators = one_hot(labels)
    left, singular, _ = np.linalg.svd(x, full_matrices=False)
    return float(np.mean([_evidence(left, singular**2, x.shape[1], y)[0] for y in indicators.T]))


def _evidence(
    left: np.ndarray, squared: np.ndarray, width: int, y: np.ndarray
) -> tuple[float, float, float]:
    """Compute `(evidence per example, alpha, beta)`, the precisions of weights and noise.

    They are at the fixed point of MacKay's updates.
    """
    n, z2 = len(y), (left.T @ y) ** 2
    rest = max(y @ y - z2.sum(), 0.0)  # of y, outside the features' span
    alpha, beta = 1.0, 1.0
    for _ in range(ROUNDS):
        precision = alpha + beta * squared
        weights2 = (beta**2 * squared * z2 / precision**2).sum()
        residual2 = (z2 * (alpha / precision) ** 2).sum() + rest
        gamma = (beta * squared / precision).sum()
        before, alpha = alpha / beta, gamma / (weights2 + 1e-12)
        beta = (n - gamma) / (residual2 + 1e-12)
        if abs(alpha / beta - before) <= TOLERANCE * before:
            break
    # y is normal with covariance 1/beta + X X' / alpha, whose eigenvectors are the left singular
    # vectors.
    variance = 1 / beta + squared / alpha
    logdet = np.log(variance).sum() - (n - len(squared)) * np.log(beta)
    evidence = -0.5 * (n * np.log(2 * np.pi) + logdet + (z2 / variance).sum() + beta * rest)
    return evidence / n, alpha, beta


def h_score(features: np.ndarray, labels: np.ndarray) -> float:
    """Compute the trace of the inverse covariance times the covariance of the class means.

    From 0 to the number of classes less one. Bao et al. 2019, "An information-theoretic approach to
    transferability", with the covariance of Ledoit and Wolf 2004 as in Ibrahim et al. 2022: the
    plain one cannot be inverted where features outnumber photographs.
    """
    x = np.asarray(features, np.float64)
    x = x - x.mean(0)
    indicators = one_hot(labels)
    counts = indicators.sum(0)
    means = indicators.T @ x / counts[:, None]
    covariance, shrinkage = ledoit_wolf(x)
    between = (means.T * counts) @ means / len(x)
    return float((1 - shrinkage) * np.trace(np.linalg.lstsq(covariance, between)[0]))


def ledoit_wolf(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Shrink the sample covariance of centred rows towards a multiple of the identity.

    Returns `(covariance [D, D], shrinkage)`.
    """
    n, width = x.shape
    sample = x.T @ x / n
    target = np.trace(sample) / width * np.eye(width)
    distance = ((sample - target) ** 2).sum()
    noise = (((x**2).sum(1) ** 2).mean() - (sample**2).sum()) / n
    shrinkage = min(noise, distance) / distance if distance > 0 else 1.0
    return shrinkage * target + (1 - shrinkage) * sample, float(shrinkage)


def cka(x: np.ndarray, y: np.ndarray) -> float:
    """Compute the linear centred kernel alignment of two sets of features of the same photographs.

    From 0 to 1, invariant to rotation and scale of either. Kornblith et al. 2019.
    """
    x, y = (np.asarray(each, np.float64) - np.mean(each, 0, dtype=np.float64) for each in (x, y))
    norms = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(x.T @ y) ** 2 / norms) if norms > 0 else 0.0


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Encode labels as float64 `[N, classes]` over the classes present; InputError for only one."""
    kinds = np.unique(labels)
    if len(kinds) < 2:
        fault = f"expected photographs of two or more classes, found {len(kinds)}"
        raise InputError(f"transferability: {fault}")
    return (np.asarray(labels)[:, None] == kinds).astype(np.float64)
