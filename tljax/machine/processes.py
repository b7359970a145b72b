"""Several processes that train one model together: how they find each other, agree, wait, and who speaks."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from tljax.errors import InputError

# JAX finds the rest of a cluster by itself; these say whether there is more than one process to find.
_CLUSTERS = {"SLURM": "SLURM_STEP_NUM_TASKS", "Open MPI": "OMPI_COMM_WORLD_SIZE"}
_TIMEOUTS: dict[str, Any] = {
    "initialization_timeout": 300,
    "heartbeat_timeout_seconds": 60,
    "shutdown_timeout_seconds": 60,
}


def start(*, coordinator: str | None, processes: int | None, process: int | None) -> str | None:
    """Join the other processes, and say as which; None where there is one alone. Before any other call of JAX.

    By the address that is given, else by what SLURM, Open MPI or a TPU pod says.
    """
    given = (coordinator, processes, process)
    if all(value is None for value in given):
        if (cluster := detected(os.environ)) is None:
            return None
        jax.distributed.initialize(**_TIMEOUTS)
        return f"process {jax.process_index()} of {jax.process_count()}, found by {cluster}"
    if coordinator is None or processes is None or process is None:
        raise InputError("--coordinator, --processes and --process: expected all three or none of them")
    if not 0 <= process < processes:
        raise InputError(f"--process must be from 0 to {processes - 1}, found {process}")
    jax.distributed.initialize(coordinator, processes, process, **_TIMEOUTS)
    return f"process {process} of {processes}, coordinator {coordinator}"


def detected(environment: Mapping[str, str]) -> str | None:
    """The cluster that has started more than one process, or None."""
    for cluster, variable in _CLUSTERS.items():
        value = environment.get(variable, "1")
        if not value.isdecimal():
            raise InputError(f"{variable}: expected a number of processes from {cluster}, found {value!r}")
        if int(value) > 1:
            return cluster
    return "TPU pod" if "," in environment.get("TPU_WORKER_HOSTNAMES", "") else None


def first() -> bool:
    """Whether this is the process that prints and writes."""
    return jax.process_index() == 0


def wait(name: str) -> None:
    """Until every process is here."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


def agree(name: str, digest: str) -> None:
    """InputError, on every process, unless all have the same sha256 here."""
    if jax.process_count() == 1:
        return
    from jax.experimental import multihost_utils

    mine = np.frombuffer(bytes.fromhex(digest), np.uint8)
    everyone = np.asarray(multihost_utils.process_allgather(mine))
    if other := np.flatnonzero((everyone != everyone[0]).any(axis=1)).tolist():
        raise InputError(f"{name}: process {other[0]} has another than process 0")


def from_first(arrays: Any) -> Any:
    """A tree of arrays as the first process has it, on every one: machines of two kinds may round otherwise."""
    if jax.process_count() == 1:
        return arrays
    from jax.experimental import multihost_utils

    return jax.tree.map(np.asarray, multihost_utils.broadcast_one_to_all(arrays))


@contextmanager
def first_then_others(name: str) -> Iterator[None]:
    """The first process does it, then the others: they find what it has left on a disk they share."""
    if not first():
        wait(name)
    yield
    if first():
        wait(name)
