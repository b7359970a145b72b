"""The scale of a base's features: what the head divides them by, so that it meets a standard deviation of one."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from tljax.data import ImageSets
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.weights import Weights

PHOTOGRAPHS = 32  # that it is measured on
_BATCH = 16


def feature_scale(network: Network, weights: Weights, sets: ImageSets, *, dtype: Any = jnp.float32) -> float:
    """Measure the standard deviation of the base's features over training photographs, without their labels.

    `network` has the width of the base. Photographs are taken at equal distances; two significant digits, so that
    rounding on another machine does not change it. 1.0 where the features do not vary.
    """
    images = sets.train.images
    chosen = np.unique(np.linspace(0, len(images) - 1, PHOTOGRAPHS).astype(int))
    base = build.classifier(network, classes=2, dtype=dtype).base
    program = ops.jit(lambda params, batch: base.apply({"params": params}, weights.preprocess(batch))[0])
    rows = chosen[np.arange(-(-len(chosen) // _BATCH) * _BATCH) % len(chosen)].reshape(-1, _BATCH)
    features = np.concatenate([np.asarray(program(weights.params, images[row]), np.float64) for row in rows])
    return float(f"{features[: len(chosen)].std():.2g}") or 1.0
