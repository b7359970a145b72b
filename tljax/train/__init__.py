"""State x batch -> State."""

from tljax.train.loop import History, train_stage
from tljax.train.plan import train_plan
from tljax.train.step import State, make_eval_step, make_train_step

__all__ = ["History", "State", "make_eval_step", "make_train_step", "train_plan", "train_stage"]
