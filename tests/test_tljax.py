"""The front door."""

import importlib.metadata
import pathlib
import re
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


def test_the_constraints_pin_all_that_the_tests_install():
    """The packages that tljax asks for, of a user or of a test, and what these ask for in turn."""
    lines = (pathlib.Path(__file__).parents[1] / "constraints.txt").read_text().splitlines()
    pinned = {plain(line.partition("==")[0]) for line in lines if "==" in line}
    asked, found = [("tljax", ("", "test"))], set()
    while asked:
        name, extras = asked.pop()
        for line in importlib.metadata.requires(name) or ():
            required, marker = line.partition(";")[::2]
            package = plain(re.match(r"[\w.-]+", required)[0])
            if not applies(marker, extras) or package in found or not installed(package):
                continue
            found.add(package)
            asked.append((package, ("",)))
    assert len(found) > 30
    assert found - pinned == set()


def applies(marker, extras):
    """Of markers only `extra`: what another platform asks for is not installed here."""
    extra = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", marker)
    return (extra[1] if extra else "") in extras


def installed(package):
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()
