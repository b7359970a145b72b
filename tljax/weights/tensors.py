"""Tensors into a safetensors file."""

from pathlib import Path

import numpy as np


def save(tensors: dict[str, np.ndarray], path: Path, *, metadata: dict[str, str]) -> None:
    """OSError where it cannot be written, which safetensors itself calls an error of its own."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:
        raise OSError(str(error)) from None
