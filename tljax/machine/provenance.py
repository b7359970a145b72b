"""Where results come from: the command, versions, devices and machine."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import os
import platform
import sys
from importlib.metadata import version

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
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def command() -> list[str]:
    """Return the command as typed: `tljax NAME ...`, or in the form of `python -m`."""
    if sys.argv[0].startswith("tljax "):
        return [*sys.argv[0].split(), *sys.argv[1:]]
    main = sys.modules["__main__"].__spec__
    return ["python", *(["-m", main.name] if main else sys.argv[:1]), *sys.argv[1:]]
