"""The front door."""

import ast
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

import tljax
from tljax import data, models, weights
from tljax.config import Stage
from tljax.inputs import images as inputs
from tljax.version import installed_version

ROOT = pathlib.Path(__file__).parents[1]
RENAMED = {
    "init_classifier": models.init,
    "inputs_from_images": inputs.from_images,
    "load_images": data.load,
    "load_weights": weights.load,
    "save_weights": weights.write,
}
SCRIPT = """
import tljax

sets = tljax.load_images("folder:photos", size=64)
trained = tljax.fine_tune(sets, tljax.load_weights("base.safetensors"), epochs=1)
reveal_type(trained.predict("photos").names)
tljax.fine_tuen
"""


def test_every_name_is_there_and_its_own():
    for name in set(tljax.__all__) - set(RENAMED):
        assert getattr(tljax, name).__name__ == name
    for name, function in RENAMED.items():
        assert getattr(tljax, name) is function
    assert tljax.Stage is Stage
    assert {*tljax.__all__, "__version__"} == set(dir(tljax))
    assert 45 <= len(tljax.__all__) <= 65
    with pytest.raises(AttributeError, match="module 'tljax' has no attribute 'load'"):
        _ = tljax.load


def test_checkers_see_the_names_that_are_looked_up():
    """The imports under TYPE_CHECKING are those of the table, module by module."""
    tree = ast.parse((ROOT / "tljax" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    shown, rooms = {}, {}
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                shown |= {alias.name: (node.module, alias.name)} if alias.asname else {}
                rooms |= {} if alias.asname else {alias.name: whole}
                assert alias.asname in (None, alias.name)  # only so is it exported again
        elif isinstance(node, ast.Assign):
            shown[node.targets[0].id] = (rooms[node.value.value.id], node.value.attr)
    assert shown == tljax._HOME


def test_pyright_knows_the_types_of_what_is_imported(tmp_path):
    pyright = pathlib.Path(sys.executable).with_name("pyright")
    if not pyright.exists():
        pytest.skip("pyright is not installed: it comes with the extra `dev`")
    (tmp_path / "mine.py").write_text(SCRIPT)
    settings = f'{{"extraPaths": ["{ROOT}"], "pythonVersion": "3.11"}}'
    (tmp_path / "pyrightconfig.json").write_text(settings)
    words = [pyright, "--pythonpath", sys.executable, "mine.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    if "error: " not in done.stdout:
        pytest.skip(f"pyright does not run here: {done.stderr[-200:]}")
    assert 'is "tuple[str, ...]"' in done.stdout
    errors = [line for line in done.stdout.splitlines() if " - error: " in line]
    assert len(errors) == 1
    assert '"fine_tuen" is not a known attribute of module "tljax"' in errors[0]


def test_types_are_installed_with_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["package-data"] == {
        "tljax": ["py.typed", "data/critters/base.safetensors"]
    }
    assert (ROOT / "tljax" / "py.typed").is_file()


def test_the_version_is_that_of_the_checkout():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert tljax.__version__ == installed_version() == project["version"]


@pytest.mark.parametrize("other", [None, '[project]\nname = "theirs"\nversion = "7"', "not toml ="])
def test_the_version_of_a_copy_is_not_made_up(tmp_path, other):
    """Copied by hand into a project of one's own, and not installed."""
    shutil.copytree(
        ROOT / "tljax", tmp_path / "tljax", ignore=shutil.ignore_patterns("__pycache__")
    )
    if other:
        (tmp_path / "pyproject.toml").write_text(other)
    code = f"import sys; sys.path = [{str(tmp_path)!r}, *[p for p in sys.path if 'site-' not in p]]"
    code += "; import tljax; print(tljax.__file__, tljax.__version__)"
    words = [sys.executable, "-S", "-c", code]
    found = subprocess.run(words, capture_output=True, text=True, check=True, env={}, cwd=tmp_path)
    assert found.stdout.split() == [str(tmp_path / "tljax" / "__init__.py"), "unknown"]


def test_importing_it_loads_no_heavy_package():
    heavy = ("jax", "flax", "PIL", "matplotlib", "tensorflow_datasets", "orbax", "h5py", "scipy")
    code = f"import sys, tljax; print([name for name in {heavy} if name in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )


def test_the_constraints_pin_all_that_the_tests_install():
    """Directly: what those ask for in turn depends on their versions."""
    root = pathlib.Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    pins = [
        line
        for line in (root / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pins)
    assert {plain(line) for line in asked} - {plain(line) for line in pins} == set()


def plain(line):
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", line)[0]).lower()
