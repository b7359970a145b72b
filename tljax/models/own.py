"""Bases of one's own, from a Python file that its user names."""

import importlib.util
import sys
from pathlib import Path

from tljax.errors import InputError
from tljax.models.architecture import Architecture
from tljax.models.build import BASES


def own_base(path: Path) -> str:
    """Run a Python file, add the `Architecture` in it to `BASES` and return its name.

    InputError where the file has none, more than one, or the name of another base.
    """
    spec = importlib.util.spec_from_file_location(f"tljax_base_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InputError(f"{path}: expected a Python file with a base, found none")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's own file raises
        raise InputError(f"{path}: {type(error).__name__}: {error}") from error
    found = {
        value.name: value for value in vars(module).values() if isinstance(value, Architecture)
    }
    if len(found) != 1:
        raise InputError(
            f"{path}: expected one Architecture, found {', '.join(sorted(found)) or 'none'}"
        )
    ((name, architecture),) = found.items()
    if name in BASES and name not in _OWN:
        raise InputError(f"{path}: a base called {name!r} exists already; give it another name")
    _OWN.add(name)
    BASES[name] = architecture
    return name


_OWN: set[str] = set()  # names that came from files: such a file may be read again
