"""Trace what is exported: photographs, or tokens, to probabilities, in JAX's stock operations."""

# pyright: strict
# pyright: reportUnknownMemberType=false

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from tljax.data.text.vocabulary import Vocabulary
from tljax.train.outcome.trained import Trained


def program(trained: Trained) -> Callable[[Array], Array]:
    """Make the function of a batch (`example`) -> what the task answers, float32.

    It holds the parameters; trace it within `ops.stock`, for any platform.
    """
    net = trained.net

    def classify(images: Array) -> Array:
        return trained.task.answers(net.run(images, net.params)[0])

    return classify


def example(trained: Trained, count: Any) -> jax.ShapeDtypeStruct:
    """Return shape and dtype of a batch: `[N, size, size, 3]` uint8, of texts `[N, size]` int32."""
    if reads_texts(trained):
        return jax.ShapeDtypeStruct((count, trained.size), jnp.int32)
    return jax.ShapeDtypeStruct((count, trained.size, trained.size, 3), jnp.uint8)


def reads_texts(trained: Trained) -> bool:
    """Tell whether a classifier is one of texts."""
    return isinstance(trained.preprocess, Vocabulary)
