"""A run as data: frozen dataclasses with every default of training."""

from tljax.config.presets import KERAS2_RMSPROP, LAMB, PRESETS, RELATIVE_RATE
from tljax.config.rungs import (
    NETWORKS,
    ON_FEATURES,
    RUNGS,
    STARTS_FROM,
    STEPPED,
    TEXT_RATE,
    differential_rules,
    network_of,
    on_masks,
    on_texts,
    rules_of,
    stage_on,
)
from tljax.config.stage import (
    CHECKPOINT_SECONDS,
    HEAD_ONLY,
    KERAS3_RMSPROP,
    MOST_VIEWS,
    TRAIN_ALL,
    Plan,
    Stage,
)

__all__ = [
    "CHECKPOINT_SECONDS",
    "HEAD_ONLY",
    "KERAS2_RMSPROP",
    "KERAS3_RMSPROP",
    "LAMB",
    "MOST_VIEWS",
    "NETWORKS",
    "ON_FEATURES",
    "PRESETS",
    "RELATIVE_RATE",
    "RUNGS",
    "STARTS_FROM",
    "STEPPED",
    "TEXT_RATE",
    "TRAIN_ALL",
    "Plan",
    "Stage",
    "differential_rules",
    "network_of",
    "on_masks",
    "on_texts",
    "rules_of",
    "stage_on",
]
