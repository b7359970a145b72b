"""Weights: files <-> params, one family of formats per module, each file verified before use."""

from tljax.tree import digest, merge
from tljax.weights.contents import Weights
from tljax.weights.formats import read
from tljax.weights.known import load
from tljax.weights.preprocessing import PreprocessCheck, check_preprocess
from tljax.weights.safe import write

__all__ = [
    "PreprocessCheck",
    "Weights",
    "check_preprocess",
    "digest",
    "load",
    "merge",
    "read",
    "write",
]
