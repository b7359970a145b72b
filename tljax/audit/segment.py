"""The kernels of a step as training runs it, with all that surrounds the step itself."""

# pyright: strict
# pyright: reportUnknownMemberType=false

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from tljax.audit import hlo
from tljax.config import Stage
from tljax.data.sets import ImageSet, ImageSets
from tljax.models.build import Network
from tljax.train import program, setup
from tljax.train.segments import segment_steps
from tljax.train.source import Source

STEPS = 16  # in the segment that is compiled


def launches(stage: Stage, network: Network, *, classes: int, size: int) -> float:
    """Count the kernels that a step of a stage starts, on one of its devices.

    They are those of a whole segment from photographs, divided by its steps: draws, keys, reading
    and augmenting the batch, the step, its metrics, and what the loop itself takes. Compiled from
    shapes; nothing is computed.
    """
    count = STEPS * stage.batch_size
    stage = replace(stage, images_per_epoch=None, views=None, lr=1e-3)
    ready = setup.outline(stage, network, Source(_black(count, classes=classes, size=size)))
    lowered = program.outlined(stage, ready).lowered
    # Fewer optimisations of machine code only: the program's text stays the same.
    quick: Any = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    text = lowered.compile(quick).as_text()
    steps = segment_steps(stage.steps_per_epoch(count))
    return hlo.launches(text or "") / steps


def _black(count: int, *, classes: int, size: int) -> ImageSets:
    """Make black photographs that take no memory, with labels in turn."""
    labels = np.arange(count, dtype=np.int32) % classes
    images = np.broadcast_to(np.zeros((), np.uint8), (count, size, size, 3))
    part = ImageSet(images, labels, tuple(map(str, range(count))))
    return ImageSets("black", tuple(map(str, range(classes))), part, part, "0" * 64)
