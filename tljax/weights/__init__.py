"""Files <-> params: one family of formats each, every one verified before it is used."""

from tljax.weights.safe import Weights, digest, merge, read, write

__all__ = ["Weights", "digest", "merge", "read", "write"]
