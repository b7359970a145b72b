"""Out of memory on the device, in a line that says what to do."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

from tljax.config import Stage
from tljax.errors import InputError


@contextmanager
def explained(stage: Stage, compiled: Any = None) -> Iterator[None]:
    """Inside, the device's RESOURCE_EXHAUSTED becomes an InputError with the batch size and the memory needed."""
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
        f"{_needed(compiled)}{smaller} ({reason})"
    )


def temporary(compiled: Any) -> float:
    """Bytes that a compiled program takes beside its arguments and results; NaN where the compiler does not say."""
    sizes = compiled.memory_analysis()
    return float(sizes.temp_size_in_bytes) if sizes else math.nan


def _needed(compiled: Any) -> str:
    if compiled is None or (sizes := compiled.memory_analysis()) is None:
        return ""
    size = sizes.argument_size_in_bytes + sizes.output_size_in_bytes + sizes.temp_size_in_bytes
    return f": its program takes {size / 1e6:.0f} MB"
