"""A classifier as StableHLO, by `jax.export`: any later JAX runs it, without tljax."""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false

from pathlib import Path

import jax
import jax.numpy as jnp
from jax import export

from tljax.models import ops
from tljax.runs.export.program import program
from tljax.train.outcome.trained import Trained

PLATFORMS = ("cpu", "cuda", "tpu")


def write(path: Path, trained: Trained) -> None:
    """Write bytes for `jax.export.deserialize`, for any number of photographs and platform."""
    (count,) = export.symbolic_shape("N")
    images = jax.ShapeDtypeStruct((count, trained.size, trained.size, 3), jnp.uint8)
    with ops.stock():
        exported = export.export(jax.jit(program(trained)), platforms=PLATFORMS)(images)
    path.write_bytes(exported.serialize())
