"""Choose how each large convolution is computed on this processor, by timing both ways once.

XLA's own convolution (Eigen's) and Winograd's of `models.winograd`: which is faster differs from
processor to processor and from map to map. The choice is kept in the cache, by processor, cores and
jaxlib, so that later commands make the same one.
"""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from tljax import waiting
from tljax.errors import InputError
from tljax.files import disk
from tljax.files.home import default_folder
from tljax.machine.convolutions import shapes_of
from tljax.machine.provenance import processor
from tljax.models import ops
from tljax.models.build import Network
from tljax.models.winograd import NONE, Shape, Shapes
from tljax.tasks.task import Task

# Of the direct way's time: what noise could decide stays direct. At 0.85 VGG16's full step was 9 %
# slower.
MARGIN = 0.92
_BATCH, _BATCHES, _ROUNDS = 4, 2, 5  # a program of two batches, as a program has many

Seconds = tuple[float, float]  # by the clock, and of all cores together
Race = Callable[[Shape], tuple[Seconds, Seconds]]  # the direct way, and Winograd's
Way = str  # "direct" or "winograd"


def measured(
    networks: Iterable[Network],
    like: jax.ShapeDtypeStruct,
    *,
    task: Task,
    dtype: DTypeLike = jnp.float32,
    progress: bool = False,
) -> Shapes:
    """Return the shapes of these networks' convolutions that Winograd computes faster here.

    `like` is what the networks take. What this machine has not timed yet is timed, in about a
    second a shape, and kept. There are none elsewhere than on one CPU device in float32: several
    devices would have to exchange what Winograd's way takes apart, and several processes might
    choose differently.
    """
    alone = jax.default_backend() == "cpu" and jax.device_count() == 1
    if not alone or jnp.dtype(dtype) != jnp.float32:
        return NONE
    different = {repr(network): network for network in networks}.values()
    asked = {shape for each in different for shape in shapes_of(each, like, task=task)}
    return choose(asked, kept_in(), progress=progress)


def choose(
    asked: Iterable[Shape], file: Path, *, race: Race | None = None, progress: bool = False
) -> Shapes:
    """Return those of the shapes for which Winograd's way won, in the file or in a race now."""
    kept = _read(file)
    new = sorted(set(asked) - kept.keys())
    for shape in waiting.over(new, "timing convolutions", unit="shapes", shown=progress):
        kept[shape] = _faster(*(race or raced)(shape))
    if new:
        ways = ", ".join(str(shape) for shape in new if kept[shape] == "winograd") or "none"
        waiting.say(f"timed {len(new)} convolutions once for this machine; by Winograd: {ways}")
        rows = [[*shape, way] for shape, way in sorted(kept.items())]
        try:
            disk.write_json(file, {"convolutions": rows})
        except disk.Unwritable as error:
            waiting.say(f"{error}; they are timed again next time")
    return frozenset(shape for shape in asked if kept[shape] == "winograd")


def kept_in() -> Path:
    """Return the file for this processor, this number of cores and this jaxlib."""
    words = f"{processor()}, {_cores()} cores, jaxlib {version('jaxlib')}"
    digest = hashlib.sha256(f"{words}, {_abilities()}".encode()).hexdigest()[:8]
    name = re.sub(r"[^\w.]+", "-", words)
    return default_folder() / "lowering" / f"{name}-{digest}.json"


def raced(shape: Shape) -> tuple[Seconds, Seconds]:
    """Time a convolution both ways in turns, and return the least of each.

    Where other processes keep the cores busy, the clock tells about them: the time of all cores
    then stands for it.
    """
    xs = jnp.ones((_BATCHES, _BATCH, shape.height, shape.width, shape.inputs))
    kernel = jnp.ones((3, 3, shape.inputs, shape.outputs))
    programs = [_program(shape, shapes) for shapes in (NONE, frozenset({shape}))]
    least: list[Seconds] = [(float("inf"), float("inf"))] * 2
    for round_ in range(_ROUNDS + 1):
        for which, program in enumerate(programs):
            began = time.perf_counter(), time.process_time()
            jax.block_until_ready(program(xs, kernel))
            ended = time.perf_counter(), time.process_time()
            if round_:  # the first one compiles
                wall, cores = (end - start for end, start in zip(ended, began, strict=True))
                least[which] = min(least[which][0], wall), min(least[which][1], cores)
    if _busy():
        least = [(cores, cores) for _, cores in least]
    return least[0], least[1]


def read_rows(rows: Any, *, where: str) -> Shapes:
    """Read shapes as a document lists them; InputError, which begins with `where`, for others."""
    if not isinstance(rows, list) or not all(_is_shape(row) for row in rows):
        raise InputError(f"{where}: expected lists of 5 numbers, found {rows!r:.60}")
    return frozenset(Shape(*row) for row in rows)


def _program(shape: Shape, shapes: Shapes) -> ops.Jitted:
    return ops.jit(
        lambda xs, kernel: lax.map(lambda x: ops.conv_padded(x, kernel, shape.pad, shapes), xs)
    )


def _faster(direct: Seconds, other: Seconds) -> Way:
    """Judge by the clock, where cores wait for one another, and by the time of all cores."""
    won = all(mine < MARGIN * own for mine, own in zip(other, direct, strict=True))
    return "winograd" if won else "direct"


def _read(file: Path) -> dict[Shape, Way]:
    """Read what is kept; a file that holds anything else is named, and measured anew."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["convolutions"]
        ways = {Shape(*row[:5]): row[5] for row in rows if _is_shape(row[:5])}
        if len(ways) != len(rows) or not {"direct", "winograd"} >= set(ways.values()):
            raise ValueError(rows)
        return ways
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, LookupError):
        waiting.say(f"{file}: expected timed convolutions, found something else; timed anew")
        return {}


def _is_shape(row: Any) -> bool:
    return isinstance(row, list) and [type(number) for number in row] == [int] * 5


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _busy() -> bool:
    """Tell whether more processes want to run than there are cores, this one left out."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > _cores() + 1


def _abilities() -> str:
    """Describe the processor beyond its name, which several kinds share: what it can compute."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return ""
    same = ("cpu family", "model", "stepping", "flags", "Features", "CPU part")
    lines = (line.partition(":") for line in text.splitlines())
    return "; ".join(value.strip() for name, _, value in lines if name.strip() in same)
