"""Several processes that train one model: how they join, agree and wait, and which one prints."""

# pyright: strict
# pyright: reportUnknownMemberType=false

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import jax
import numpy as np

from tljax.errors import InputError

# JAX finds the rest of a cluster by itself; these say whether there is more than one process.
_CLUSTERS = {"SLURM": "SLURM_STEP_NUM_TASKS", "Open MPI": "OMPI_COMM_WORLD_SIZE"}
T = TypeVar("T")


def start(*, coordinator: str | None, processes: int | None, process: int | None) -> str | None:
    """Join the other processes, and return which one this is; None for a single process.

    Call it before any other call of JAX. The address comes from the arguments, or without them from
    SLURM, Open MPI or a TPU pod.
    """
    arguments = (coordinator, processes, process)
    if all(value is None for value in arguments):
        if (cluster := detected(os.environ)) is None:
            return None
        _join()
        return f"process {jax.process_index()} of {jax.process_count()}, found by {cluster}"
    if coordinator is None or processes is None or process is None:
        raise InputError(
            "--coordinator, --processes and --process: expected all three or none of them"
        )
    if not 0 <= process < processes:
        raise InputError(f"--process must be from 0 to {processes - 1}, found {process}")
    _join(coordinator, processes, process)
    return f"process {process} of {processes}, coordinator {coordinator}"


def _join(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    jax.distributed.initialize(
        coordinator,
        processes,
        process,
        initialization_timeout=300,  # seconds, as the others
        heartbeat_timeout_seconds=60,
        shutdown_timeout_seconds=60,
    )


def detected(environment: Mapping[str, str]) -> str | None:
    """Name the cluster that has started more than one process, or None."""
    for cluster, variable in _CLUSTERS.items():
        value = environment.get(variable, "1")
        if not value.isdecimal():
            raise InputError(
                f"{variable}: expected a number of processes from {cluster}, found {value!r}"
            )
        if int(value) > 1:
            return cluster
    return "TPU pod" if "," in environment.get("TPU_WORKER_HOSTNAMES", "") else None


def first() -> bool:
    """Tell whether this process prints and writes."""
    return jax.process_index() == 0


def wait(name: str) -> None:
    """Wait until every process has arrived."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


def agree(name: str, digest: str) -> None:
    """Check that all processes have the same sha256; InputError, on every process, if not."""
    if jax.process_count() == 1:
        return
    from jax.experimental import multihost_utils

    mine = np.frombuffer(bytes.fromhex(digest), np.uint8)
    everyone = np.asarray(multihost_utils.process_allgather(mine))
    if other := np.flatnonzero((everyone != everyone[0]).any(axis=1)).tolist():
        raise InputError(f"{name}: process {other[0]} has another than process 0")


def from_first(arrays: T) -> T:
    """Broadcast the first process's tree of arrays to all processes.

    Machines of two kinds may round differently.
    """
    if jax.process_count() == 1:
        return arrays
    from jax.experimental import multihost_utils

    return jax.tree.map(np.asarray, multihost_utils.broadcast_one_to_all(arrays))


@contextmanager
def first_then_others(name: str) -> Generator[None]:
    """Run the body in the first process, then in the others.

    They find what it has left on a disk they share.
    """
    if not first():
        wait(name)
    yield
    if first():
        wait(name)
