"""Transfer learning as pure functions: the names people import, each looked up when it is first used.

`import tljax` loads nothing else: the processes that draw critters, and `--help`, want no JAX.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "tljax.config": ("Augment", "Network", "Objective", "Optimizer", "Plan", "Stage"),
    "tljax.data": ("ImageSet", "ImageSets", "load"),
    "tljax.data.preprocess": ("Preprocess",),
    "tljax.errors": ("InputError",),
    "tljax.models": ("classifier", "init"),
    "tljax.runs.predict": ("load_run",),
    "tljax.optim": (
        "Cyclic",
        "OneCycle",
        "OneCycleMomentum",
        "Piecewise",
        "WarmRestarts",
        "WarmupCosine",
        "WarmupLinear",
        "discriminative",
    ),
    "tljax.recipe": (
        "fine_tune",
        "fine_tuning",
        "freeze",
        "full_recipe",
        "gradual_unfreezing",
        "lr_find",
        "one_cycle",
        "unfreeze",
    ),
    "tljax.train": ("History", "State", "train_plan", "train_stage"),
    "tljax.weights": ("Weights", "read", "write"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tljax' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
