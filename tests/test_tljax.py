"""The front door."""

import pathlib
import re
import subprocess
import sys
import tomllib

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


def test_the_constraints_pin_all_that_the_tests_install():
    """Directly: what those ask for in turn depends on their versions."""
    root = pathlib.Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    pins = [line for line in (root / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pins)
    assert {plain(line) for line in asked} - {plain(line) for line in pins} == set()


def plain(line):
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", line)[0]).lower()
