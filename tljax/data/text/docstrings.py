"""`stdlib`: the documentation strings of the Python that runs this, real English on any machine.

The target is to tell which package a sentence is from; the source is the running text of all other
modules, which shares no sentence with it. Another version of Python has other sentences: the digest
says so.
"""

import ast
import pathlib
import re
import sys
import sysconfig
from collections.abc import Iterator

from tljax.data.folder import Found
from tljax.data.text.sources import listing
from tljax.errors import InputError

TARGET, SOURCE = "stdlib", "stdlib:source"
# Packages of every Python from 3.11 on, with hundreds of sentences each.
PACKAGES = ("asyncio", "email", "http", "importlib", "logging", "unittest", "xml")
_LEFT_OUT = {"site-packages", "test", "tests", "idle_test", "__pycache__", "lib2to3", "turtledemo"}
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
WORDS = 5  # least of a sentence


def sentences() -> Found:
    """List the sentences of the target packages, each once; one of two packages is left out."""
    found = {name: list(dict.fromkeys(_sentences(name))) for name in PACKAGES}
    owners: dict[str, set[str]] = {}
    for name, texts in found.items():
        for text in texts:
            owners.setdefault(text, set()).add(name)
    rows = [
        (f"{name}/{number:04d}", text, label)
        for label, name in enumerate(PACKAGES)
        for number, text in enumerate(t for t in found[name] if len(owners[t]) == 1)
    ]
    ids, texts, labels = zip(*rows, strict=True)
    return Found(PACKAGES, {"train": listing(ids, texts, labels)})


def running() -> list[str]:
    """Return the documentation strings of every module that is not of a target package."""
    root = _root()
    tops = sorted({path.relative_to(root).parts[0] for path in root.rglob("*.py")})
    others = (top for top in tops if top.removesuffix(".py") not in PACKAGES)
    return [text for top in others for text in _strings(root, top)]


def _sentences(package: str) -> Iterator[str]:
    """Yield the sentences of a package's documentation, without examples and tables."""
    for text in _strings(_root(), package):
        for paragraph in re.split(r"\n\s*\n", text):
            if ">>>" in paragraph:
                continue
            for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", " ".join(paragraph.split())):
                if len(re.findall(r"[A-Za-z]+", sentence)) >= WORDS:
                    yield sentence


def _strings(root: pathlib.Path, top: str) -> Iterator[str]:
    """Yield the documentation strings of a package or a module, in the order of its code."""
    place = root / top
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        if _LEFT_OUT & set(path.relative_to(root).parts):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue  # a file for another Python, which says nothing to this one
        for node in ast.walk(tree):
            if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
                yield text


def _root() -> pathlib.Path:
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    missing = [name for name in PACKAGES if not (root / name / "__init__.py").is_file()]
    if missing:
        version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
        raise InputError(
            f"stdlib: expected the source of {version} in {root}, found none of {missing[0]}"
        )
    return root
