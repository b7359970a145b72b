"""Random weights and images that numpy makes alike with torch and without it.

The scripts `make_NAME.py` beside this file fill a torch network with them and store what it gives;
the tests of `tests/models` make the same arrays again, so a reference holds outputs alone.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

PLACES = 64  # of a cut's output that are stored


def filled(shapes: Mapping[str, tuple[int, ...]], *, seed: int) -> dict[str, np.ndarray]:
    """Fill the tensors of a torch state dict, each from the seed and its own name.

    Kernels keep the variance of what passes through them; everything else is where a mistake in
    its use would show: scales near 1, shifts and running means near 0, running variances above 0.
    """
    return {name: _tensor(name, tuple(shape), seed) for name, shape in shapes.items()}


def _tensor(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    draw = np.random.default_rng([seed, zlib.crc32(name.encode())])
    leaf = name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_var":
        values = draw.uniform(0.5, 1.5, shape)
    elif len(shape) in (2, 4) and leaf == "weight":
        values = draw.normal(0, np.sqrt(1.5 / np.prod(shape[1:])), shape)
    elif leaf in ("weight", "gamma"):
        values = draw.uniform(0.5, 1.5, shape)
    else:
        values = draw.normal(0, 0.1, shape)
    return values.astype(np.float32)


def images(size: int, *, number: int = 2, seed: int = 0) -> np.ndarray:
    """Make preprocessed photographs `[N, H, W, 3]`, float32, with smooth and with noisy parts."""
    draw = np.random.default_rng([seed, size])
    coarse = np.kron(draw.normal(0, 1, (number, 4, 4, 3)), np.ones((1, *[-(-size // 4)] * 2, 1)))
    noise = draw.normal(0, 0.5, (number, size, size, 3))
    return (coarse[:, :size, :size] + noise).astype(np.float32)


def sentences(vocabulary: int, length: int, *, seed: int = 0) -> np.ndarray:
    """Make tokens `[4, length]` int32 with 0 as padding: three lengths, and a hole in the last."""
    draw = np.random.default_rng([seed, vocabulary, length])
    ids = draw.integers(1, vocabulary, (4, length)).astype(np.int32)
    for row, real in enumerate((length, length // 2, 3)):
        ids[row, real:] = 0
    ids[3, 2] = 0
    return ids


def summary(values: Any) -> np.ndarray:
    """Summarise an output `[N, ..., C]`: 64 of its values at fixed places, mean, deviation, size.

    Float64 `[67]`. Bring a torch activation into channels-last order first.
    """
    flat = np.asarray(values, np.float64).reshape(-1)
    places = np.random.default_rng(flat.size).integers(0, flat.size, PLACES)
    return np.concatenate([flat[places], [flat.mean(), flat.std(), flat.size]])


def error(values: Any, reference: np.ndarray) -> float:
    """Return the largest difference from a stored summary, in units of the output's own scale.

    Infinity for an output of another size.
    """
    ours, scale = summary(values), abs(reference[-3]) + reference[-2]
    if ours[-1] != reference[-1]:
        return np.inf
    return float(np.abs(ours - reference)[:-1].max() / max(scale, 1e-6))


def packed(shapes: Mapping[str, tuple[int, ...]]) -> np.ndarray:
    """Pack names and shapes of a state dict into an array that an npz file holds."""
    text = json.dumps({name: list(shape) for name, shape in shapes.items()})
    return np.frombuffer(zlib.compress(text.encode(), 9), np.uint8)


def unpacked(array: np.ndarray) -> dict[str, tuple[int, ...]]:
    """Return names and shapes that `packed` packed."""
    names = json.loads(zlib.decompress(array.tobytes()))
    return {name: tuple(shape) for name, shape in names.items()}
