"""A classifier as StableHLO, by `jax.export`: any later JAX runs it, without tljax."""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false

from pathlib import Path

import jax
from jax import export

from tljax.models import ops
from tljax.runs.export.program import example, program
from tljax.train.outcome.trained import Trained

PLATFORMS = ("cpu", "cuda", "tpu")


def write(path: Path, trained: Trained) -> None:
    """Write bytes for `jax.export.deserialize`, for any number of examples and platform."""
    (count,) = export.symbolic_shape("N")
    with ops.stock():
        exported = export.export(jax.jit(program(trained)), platforms=PLATFORMS)(
            example(trained, count)
        )
    path.write_bytes(exported.serialize())
