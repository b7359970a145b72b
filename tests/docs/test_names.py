"""Names on the pages exist: functions, keyword arguments, commands and options."""

import ast
import importlib
import inspect
import pathlib
import re

import pytest

import tljax
import tljax.inside
import tljax.report
from tljax.commands.door import COMMANDS

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "docs" / "ladder.ipynb"]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
NAME = re.compile(r"(?<![\w/.])(?:tljax|experiments)(?:\.[A-Za-z_]\w*)+(?![\w/])")
CALL = re.compile(r"`(tljax(?:\.\w+)+\([^`]*\))`")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
DOOR = re.compile(r"(?:^|`|/bin/)tljax ([a-z0-9-]+)", re.MULTILINE)
COMMAND = re.compile(r"python -m (experiments\.\w+)\b")


def resolve(name):
    """Whatever a dotted name stands for;
    AttributeError or ImportError where it stands for nothing.
    """
    parts = name.split(".")
    found = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], start=2):
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(".".join(parts[:i]))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_resolve(page):
    missing = []
    for name in sorted(set(NAME.findall(TEXTS[page]))):
        try:
            resolve(name)
        except (AttributeError, ImportError):
            missing.append(name)
    assert missing == []


def test_resolving_finds_what_is_missing():
    with pytest.raises(ImportError):
        resolve("tljax.fine_tuen")
    with pytest.raises((AttributeError, ImportError)):
        resolve("tljax.train.step.State.nothing")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_calls_in_the_text_have_arguments_that_are_there(page):
    for text in CALL.findall(TEXTS[page]):
        call = ast.parse(text, mode="eval").body
        given = {keyword.arg: None for keyword in call.keywords}
        positional = [
            None for argument in call.args if getattr(argument, "value", None) is not Ellipsis
        ]
        inspect.signature(resolve(ast.unparse(call.func))).bind_partial(*positional, **given)


def test_the_peers_tables_have_two_columns_and_name_our_functions():
    lines = TEXTS[ROOT / "docs" / "peers.md"].splitlines()
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("| ")]
    assert len(rows) > 60
    assert [row for row in rows if len(row) != 2 or not row[1].strip()] == []
    assert sum(bool(NAME.search(row[1])) for row in rows) > 50


def test_commands_and_their_options_are_there():
    files = [*(ROOT / "experiments").glob("*.py"), *(ROOT / "tljax" / "commands").rglob("*.py")]
    files.append(ROOT / ".ci" / "gpu")
    sources = "".join(path.read_text(encoding="utf-8") for path in files)
    known = set(re.findall(r'"(--[a-z-]+)"', sources)) | {"--help", "--version"}
    for page, text in TEXTS.items():
        ours = "\n".join(
            _ours(line, page) for line in text.splitlines() if "pip install" not in line
        )
        assert set(OPTION.findall(ours)) - known <= {"--xla"}, page
        for module in COMMAND.findall(text):
            assert importlib.util.find_spec(module) is not None, module
        for name in DOOR.findall(text):
            assert name.replace("-", "_") in COMMANDS, (page, name)


def _ours(line, page):
    """The line, without what it says of another program."""
    return line.split("|")[-2] if page.name == "peers.md" and line.startswith("| ") else line


def test_the_api_pages_have_what_is_promised_and_nothing_else():
    """Whatever is documented is promised: the names of `tljax`, of `inside` and of `report`."""
    shown = "".join(text for page, text in TEXTS.items() if page.parent.name == "api")
    found = re.findall(r"^\.\. auto(?:function|class):: ([\w.]+)$", shown, re.MULTILINE)
    rooms = (tljax, tljax.inside, tljax.report)
    promised = [f"{room.__name__}.{name}" for room in rooms for name in room.__all__]
    assert sorted(found) == sorted(promised)
    assert "automodule" not in shown
    assert [name for name in found if not resolve(name).__doc__] == []


def test_the_table_of_names_is_that_of_the_package():
    index = TEXTS[ROOT / "docs" / "api" / "index.md"]
    listed = re.findall(r"`tljax\.(\w+)`", index)
    assert sorted(listed) == sorted(tljax.__all__)
