"""A set of examples as the compiled programs read it: whole on the device, or streamed ahead of them."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from tljax.train import devices


@dataclass(frozen=True)
class Examples:
    """Inputs of a network and their labels.

    `inputs` `[views * N, ...]`: images uint8, or cached activations; row `view * N + example`. `labels` `[N]` int32.
    """

    inputs: np.ndarray
    labels: np.ndarray
    views: int = 1

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, passes: np.ndarray, example: np.ndarray) -> np.ndarray:
        """Where the draw of an example in a pass lies: each pass has the next view."""
        return (passes % self.views * len(self) + example).astype(np.int32)


def fits(inputs: np.ndarray) -> bool:
    """Whether the set may live on each device: it gets at most half of the memory."""
    stats = jax.devices()[0].memory_stats()
    memory = stats["bytes_limit"] if stats else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return inputs.nbytes <= memory // 2


def feed(
    inputs: np.ndarray, rows: Iterable[np.ndarray], *, over: Mesh, resident: bool
) -> Iterator[tuple[Array, np.ndarray]]:
    """For each array of row numbers (any shape): `(pool on the devices, row numbers into the pool)`.

    Resident: the pool is always the whole set. Streamed: it is just these rows, copied while the program before runs.
    """
    whole = devices.replicated(over)
    if resident:
        pool = jax.device_put(np.asarray(inputs), whole)
        yield from ((pool, wanted) for wanted in rows)
        return

    def gather(wanted: np.ndarray) -> tuple[Array, np.ndarray]:
        pool = jax.device_put(inputs[wanted.reshape(-1)], whole)
        return pool, np.arange(wanted.size, dtype=np.int32).reshape(wanted.shape)

    with ThreadPoolExecutor(max_workers=1) as ahead:
        pending = None
        for wanted in rows:
            following = ahead.submit(gather, wanted)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()
