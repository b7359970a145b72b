"""What is exported: photographs to probabilities, in JAX's stock operations."""

# pyright: strict
# pyright: reportUnknownMemberType=false

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from tljax.train.outcome.trained import Trained


def program(trained: Trained) -> Callable[[Array], Array]:
    """Make the function uint8 `[N, size, size, 3]` -> probabilities float32 `[N, classes]`.

    It holds the parameters; trace it within `ops.stock`, for any platform.
    """
    net = trained.net

    def classify(images: Array) -> Array:
        logits, _ = net.run(images, net.params)
        if logits.shape[-1] == 1:  # of two classes: the second against the first
            logits = jnp.concatenate([jnp.zeros_like(logits), logits], axis=-1)
        return jax.nn.softmax(logits, axis=-1)

    return classify
