"""Files <-> params: one family of formats each, every one verified before it is used."""

from tljax.weights.safe import Weights, read, write
from tljax.weights.tree import digest, merge

__all__ = ["Weights", "digest", "merge", "read", "write"]
