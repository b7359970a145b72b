"""What is exported: photographs to probabilities, in JAX's stock operations."""

# pyright: strict
# pyright: reportUnknownMemberType=false

from collections.abc import Callable

from jax import Array

from tljax.train.outcome.trained import Trained


def program(trained: Trained) -> Callable[[Array], Array]:
    """Make the function uint8 `[N, size, size, 3]` -> what the task answers, float32.

    It holds the parameters; trace it within `ops.stock`, for any platform.
    """
    net = trained.net

    def classify(images: Array) -> Array:
        return trained.task.answers(net.run(images, net.params)[0])

    return classify
