"""The writing of safetensors files."""

from pathlib import Path

import numpy as np


def save(tensors: dict[str, np.ndarray], path: Path, *, metadata: dict[str, str]) -> None:
    """Save tensors; OSError, in place of safetensors' own error, where that fails."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:
        raise OSError(str(error)) from None
