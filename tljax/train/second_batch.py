"""A second set of examples that each step reads: those of another task, or another domain."""

# pyright: strict

from dataclasses import dataclass

from tljax.inputs.images import Inputs
from tljax.train.step import MakeLoss


@dataclass(frozen=True)
class Beside:
    """Describe a second data set read at every step, and the loss of the combined batch.

    The step's batch has another under `beside`: `image`, `label` and `key` of `batch_size` examples
    of `inputs.train`, augmented as `inputs` does, in an order of their own. `loss(apply,
    objective, task)` makes the loss of the two. Only the stage's own examples are evaluated.
    """

    inputs: Inputs
    batch_size: int
    loss: MakeLoss
