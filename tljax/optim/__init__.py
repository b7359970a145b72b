"""Optimisation: rules of what trains and how fast, schedules, and the optax transformation."""

from tljax.optim.rules import LowRank, Rules, discriminative, frozen_layers, merge, split
from tljax.optim.schedules import (
    Cyclic,
    OneCycle,
    OneCycleMomentum,
    Piecewise,
    Schedule,
    WarmRestarts,
    WarmupCosine,
    WarmupLinear,
    resolve,
)
from tljax.optim.transform import Optimizer, make

__all__ = [
    "Cyclic",
    "LowRank",
    "OneCycle",
    "OneCycleMomentum",
    "Optimizer",
    "Piecewise",
    "Rules",
    "Schedule",
    "WarmRestarts",
    "WarmupCosine",
    "WarmupLinear",
    "discriminative",
    "frozen_layers",
    "make",
    "merge",
    "resolve",
    "split",
]
