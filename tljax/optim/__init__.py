"""What moves, and how far."""

from tljax.optim.rules import Rules, discriminative, frozen_layers, merge, split
from tljax.optim.schedules import Schedule, WarmupCosine, resolve
from tljax.optim.transform import Optimizer, make

__all__ = [
    "Optimizer",
    "Rules",
    "Schedule",
    "WarmupCosine",
    "discriminative",
    "frozen_layers",
    "make",
    "merge",
    "resolve",
    "split",
]
