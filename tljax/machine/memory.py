"""Out-of-memory errors of the device, as one line that says what to do."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import math
import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import jax
from jax.stages import Compiled

from tljax.config import Stage
from tljax.errors import InputError


@contextmanager
def explained(stage: Stage, compiled: Compiled | None = None) -> Generator[None]:
    """Turn the device's RESOURCE_EXHAUSTED into an InputError.

    It names the batch size and the memory needed.
    """
    try:
        yield
        return
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        reason = " ".join(str(error).split())[:160]
    smaller = f"; try {stage.batch_size // 2}" if stage.batch_size > 1 else ""
    raise InputError(
        f"stage {stage.name!r}: batch size {stage.batch_size} does not fit into the device's memory"
        f"{_needed(compiled)}{smaller} ({reason}){_others()}"
    )


def temporary(compiled: Compiled) -> float:
    """Return the bytes a compiled program takes besides its arguments and results.

    NaN where the compiler does not say.
    """
    sizes = _sizes(compiled)
    return float(sizes.temp_size_in_bytes) if sizes else math.nan


def _sizes(compiled: Compiled) -> Any:
    """Return the compiler's count; None where there is none, or one without the results."""
    sizes = compiled.memory_analysis()
    return sizes if sizes and sizes.output_size_in_bytes else None


def _needed(compiled: Compiled | None) -> str:
    if compiled is None or (sizes := _sizes(compiled)) is None:
        return ""
    size = sizes.argument_size_in_bytes + sizes.output_size_in_bytes + sizes.temp_size_in_bytes
    limit = _limit()
    of = f" of the {limit / 1e6:.0f} MB that this process may use" if limit else ""
    return f": its program takes {size / 1e6:.0f} MB{of}"


def _others() -> str:
    """Say that another process may hold a part: two on one accelerator get what is left."""
    return "; nvidia-smi shows what other processes hold" if _limit() else ""


def _limit() -> int | None:
    """Return the bytes that this process may take of a device; None where it shares the host's."""
    stats = jax.local_devices()[0].memory_stats()
    return stats.get("bytes_limit") if stats else None


def room() -> int:
    """Return the bytes of each device that data or a sweep may take: half of its memory.

    Devices that are parts of one CPU share its memory.
    """
    return (_limit() or host() // len(jax.local_devices())) // 2


def host() -> int:
    """Return the bytes of the machine's own memory."""
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    import ctypes  # Windows: the structure MEMORYSTATUSEX, 64 bytes, whose first field says so

    status = (ctypes.c_uint64 * 8)(64)
    kernel: Any = ctypes.windll.kernel32  # pyright: ignore[reportAttributeAccessIssue]
    kernel.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status[1])
