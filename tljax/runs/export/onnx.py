"""A classifier as ONNX, by the package jax2onnx."""

import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from tljax.errors import InputError
from tljax.models import ops
from tljax.runs.export.program import program
from tljax.train.outcome.trained import Trained

TOLERANCE = 1e-5
# jax2onnx without its dependencies: orbax-export, which is not used here, wants an older Orbax.
INSTALL = "pip install onnx onnx-ir onnxruntime && pip install --no-deps jax2onnx"


def write(path: Path, trained: Trained) -> None:
    """Write an ONNX model whose input is "images" and whose output is "probabilities".

    What ONNX Runtime computes with it is compared with the classifier on noise. InputError where
    they differ, where an operation of the base has no counterpart, or without the packages.
    """
    try:
        import jax2onnx  # pyright: ignore[reportMissingImports]
        import onnxruntime  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise InputError(f"ONNX wants the package {error.name}: {INSTALL}") from None
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # it warns of every symbolic size
    side, other = trained.net.side, "use --to stablehlo"
    noise = np.random.default_rng(0).integers(0, 256, (2, side, side, 3)).astype(np.uint8)
    images = jax.ShapeDtypeStruct(("N", side, side, 3), jnp.uint8)
    try:
        with ops.stock():
            model = jax2onnx.to_onnx(
                program(trained),
                [images],
                model_name="tljax",
                input_names=["images"],
                output_names=["probabilities"],
            ).SerializeToString()
        session = onnxruntime.InferenceSession(model)
        found = session.run(["probabilities"], {"images": noise})[0]
    except Exception as error:  # either package raises kinds of its own
        why = " ".join(str(error).split())[:240]
        raise InputError(f"ONNX has no {trained.network.base} yet: {why}; {other}") from None
    if (off := float(np.abs(found - trained(noise)).max())) > TOLERANCE:
        base = trained.network.base
        raise InputError(f"ONNX: {base}: its probabilities differ by {off:.1e}; {other}")
    path.write_bytes(model)
