"""The front door."""

import subprocess
import sys

import tljax
from tljax.config import Stage


def test_every_name_is_there_and_its_own():
    for name in tljax.__all__:
        assert getattr(tljax, name).__name__ == name
    assert tljax.Stage is Stage


def test_importing_it_loads_no_heavy_package():
    heavy = ("jax", "flax", "PIL", "matplotlib", "tensorflow_datasets", "orbax", "h5py", "scipy")
    code = f"import sys, tljax; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
