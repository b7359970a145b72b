"""How many members fit into one compiled call, planned from the compiler's count before any run."""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jax.sharding import Mesh
from jax.stages import Compiled

from tljax.errors import InputError
from tljax.machine.memory import room

_FREE = 0.9  # of what an accelerator has free: the rest is lost between blocks


@dataclass(frozen=True)
class SweepPlan:
    """So many members, in calls of `size` each (the last may have fewer), over `devices`."""

    members: int
    size: int
    devices: int
    bytes: float  # of a call, on one device, by the compiler's count; NaN where it does not say

    @property
    def calls(self) -> int:
        """Count how often the program runs."""
        return math.ceil(self.members / self.size)

    def __str__(self) -> str:
        calls = f"{self.calls} calls of {self.size}" if self.calls > 1 else "1 call"
        where = f" over {self.devices} devices" if self.devices > 1 else ""
        each = f"{self.bytes / 1e6:.0f} MB each"
        if math.isnan(self.bytes):
            each = "one member a device at a time: the compiler does not say what memory they take"
        return f"{self.members} members in {calls}{where}, {each}"


def planned(
    compiled_for: Callable[[int], Compiled],
    *,
    members: int,
    devices: int,
    shared: int,
    most: int,
    limit: int,
) -> tuple[SweepPlan, Compiled]:
    """Plan the largest calls that fit into `limit` bytes of a device: (plan, compiled program).

    `compiled_for(size)` compiles; `shared` are the bytes that do not grow with the members; a call
    has at most `most` members. InputError where not even one member a device fits.
    """
    size = _even(members, most=most, devices=devices)
    while True:
        compiled = compiled_for(size)
        needed = _bytes(compiled)
        if needed <= limit or (math.isnan(needed) and size == devices):
            return SweepPlan(members, size, devices, needed), compiled
        if math.isnan(needed):
            size = devices
            continue
        if size == devices:
            raise InputError(
                f"sweep: one member needs {needed / 1e6:.0f} MB; {limit / 1e6:.0f} MB may be used"
            )
        each = max(1, needed - shared) * devices / size
        fit = max(devices, int(0.95 * max(0, limit - shared) / each) * devices)
        size = min(_even(members, most=fit, devices=devices), size - devices)


def limit(over: Mesh, *, shared: int) -> int:
    """Return the bytes of each device that a call may take.

    An accelerator says what it has and what is in use; `shared`, which members share, is there
    already and is a part of the call. Of another device it is `memory.room`.
    """
    known: list[int] = []
    for device in over.devices.flat:
        stats: dict[str, Any] = device.memory_stats() or {}
        if total := stats.get("bytes_limit"):
            known.append(int(_FREE * (total - stats.get("bytes_in_use", 0))) + shared)
    return min(known, default=room())


def _even(members: int, *, most: int, devices: int) -> int:
    """Divide the members into calls of equal size, a multiple of the devices; return that size."""
    most = max(devices, most // devices * devices)
    calls = math.ceil(members / most)
    return math.ceil(math.ceil(members / calls) / devices) * devices


def _bytes(compiled: Compiled) -> float:
    """Return the compiler's count; NaN where there is none, or one without the results."""
    counted: Any = compiled.memory_analysis()
    if not counted or not counted.output_size_in_bytes:
        return math.nan
    results = counted.output_size_in_bytes - counted.alias_size_in_bytes
    return counted.argument_size_in_bytes + results + counted.temp_size_in_bytes
