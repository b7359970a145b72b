"""Where results come from: the command, versions, devices and machine."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import jax

from tljax.files.disk import Json
from tljax.version import installed_version

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pillow")


def environment() -> Json:
    """Describe versions, devices and machine."""
    devices = jax.devices()
    return {
        "versions": {
            "python": platform.python_version(),
            "tljax": installed_version(),
            **{name: version(name) for name in _PACKAGES},
        },
        "device": f"{len(devices)} x {devices[0].device_kind}",
        "machine": f"{processor()}, {platform.machine()}, {os.cpu_count()} cores",
    }


def processor() -> str:
    """Name the processor as Linux does, else as Python does: what figures of a CPU depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "processor of no name")


def command() -> list[str]:
    """Return the command as typed: `tljax NAME ...`, or in the form of `python -m`."""
    if sys.argv[0].startswith("tljax "):
        return [*sys.argv[0].split(), *sys.argv[1:]]
    main = sys.modules["__main__"].__spec__
    return ["python", *(["-m", main.name] if main else sys.argv[:1]), *sys.argv[1:]]
