"""The version of tljax, installed or not."""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def installed_version() -> str:
    """Read the version of a checkout from its pyproject.toml, else of the installed package.

    A checkout comes first: on PYTHONPATH it may hide another one that is installed. "unknown" where
    there is neither.
    """
    try:
        project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
        if project["name"] == "tljax":
            return project["version"]
    except (OSError, ValueError, KeyError):
        pass  # no checkout: installed as a package, or copied by hand
    try:
        return version("tljax")
    except PackageNotFoundError:
        return "unknown"
