"""Where results come from: the command that was typed, versions, devices and machine."""

import os
import platform
import sys
from importlib.metadata import version
from typing import Any

import jax

_PACKAGES = ("tljax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pillow")


def environment() -> dict[str, Any]:
    """Versions, devices and machine."""
    devices = jax.devices()
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "device": f"{len(devices)} x {devices[0].device_kind}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def command() -> list[str]:
    """What was typed: `tljax NAME ...`, or as `python -m` has it."""
    if sys.argv[0].startswith("tljax "):
        return [*sys.argv[0].split(), *sys.argv[1:]]
    main = sys.modules["__main__"].__spec__
    return ["python", *(["-m", main.name] if main else sys.argv[:1]), *sys.argv[1:]]
