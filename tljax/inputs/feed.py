"""How compiled programs read a set of examples: replicated, sharded over devices, or streamed."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from tljax.files.memory_map import read_ahead
from tljax.machine import devices
from tljax.machine.memory import room


@dataclass(frozen=True)
class Examples:
    """Inputs of a network and their labels.

    `inputs` `[views * N, ...]`: images uint8, or cached activations; row `view * N + example`.
    `labels` `[N]` int32.
    """

    inputs: np.ndarray
    labels: np.ndarray
    views: int = 1

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, passes: np.ndarray, example: np.ndarray) -> np.ndarray:
        """Return the row of each draw of an example in a pass: each pass takes the next view."""
        return (passes % self.views * len(self) + example).astype(np.int32)


Place = Literal["replicated", "sharded", "streamed"]


def place(inputs: np.ndarray, over: Mesh) -> Place:
    """Choose where a set lives: on every device, divided over them, or on the host.

    It is the first of these in which the set fits.
    """
    if fits(inputs.nbytes):
        return "replicated"
    return "sharded" if over.size > 1 and fits(math.ceil(inputs.nbytes / over.size)) else "streamed"


def fits(nbytes: int) -> bool:
    """Tell whether so many bytes may live on each device."""
    return nbytes <= room()


def feed(
    inputs: np.ndarray, rows: Iterable[np.ndarray], *, over: Mesh, place: Place
) -> Iterator[tuple[Array, np.ndarray]]:
    """Yield for each array of row numbers `(pool on the devices, row numbers into the pool)`.

    Row numbers have any shape. Replicated or sharded, the pool is always the whole set, a sharded
    one padded with zeros so that the parts are equal. Streamed, it is just these rows, copied while
    the previous program runs.
    """
    whole = devices.replicated(over)
    if place != "streamed":
        pool = (
            devices.put(inputs, whole, copy=False)
            if place == "replicated"
            else _sharded(inputs, over)
        )
        yield from ((pool, numbers) for numbers in rows)
        return

    def gather(numbers: np.ndarray) -> tuple[Array, np.ndarray]:
        read_ahead(inputs, numbers.reshape(-1))
        pool = devices.put(inputs[numbers.reshape(-1)], whole, copy=False)
        return pool, np.arange(numbers.size, dtype=np.int32).reshape(numbers.shape)

    with ThreadPoolExecutor(max_workers=1) as ahead:
        pending = None
        for numbers in rows:
            following = ahead.submit(gather, numbers)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()


def pool_shape(inputs: np.ndarray, count: int, *, over: Mesh) -> jax.ShapeDtypeStruct:
    """Return shape and sharding of the pool that `feed` gives for so many rows at a time."""
    where = place(inputs, over)
    parts = devices.split_batch(over) if where == "sharded" else devices.replicated(over)
    rows = {
        "replicated": len(inputs),
        "sharded": math.ceil(len(inputs) / over.size) * over.size,
        "streamed": count,
    }
    return jax.ShapeDtypeStruct((rows[where], *inputs.shape[1:]), inputs.dtype, sharding=parts)


def _sharded(inputs: np.ndarray, over: Mesh) -> Array:
    """Shard the set in equal parts, one a device; each process reads only its own parts."""
    rows = math.ceil(len(inputs) / over.size) * over.size

    def part(index: Any) -> np.ndarray:
        first, last, _ = index[0].indices(rows)
        padded = np.zeros((last - first, *inputs.shape[1:]), inputs.dtype)
        real = inputs[first:last]
        padded[: len(real)] = real
        return padded

    return jax.make_array_from_callback((rows, *inputs.shape[1:]), devices.split_batch(over), part)
