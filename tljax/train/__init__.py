"""State x batch -> State."""

# pyright: strict

from tljax.train.history import History
from tljax.train.loop import train_stage
from tljax.train.plan import train_plan
from tljax.train.ready import Ready
from tljax.train.setup import prepare
from tljax.train.source import Source
from tljax.train.step import State, make_eval_step, make_train_step

__all__ = [
    "History",
    "Ready",
    "Source",
    "State",
    "make_eval_step",
    "make_train_step",
    "prepare",
    "train_plan",
    "train_stage",
]
