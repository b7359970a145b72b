"""Every command in a block of shell on a page is one that its parser accepts, as written."""

import argparse
import importlib
import re
import shlex
import sys
from pathlib import Path

import pytest

from tljax.commands import door, running

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Parsed(Exception):
    """The parser has accepted the words; what follows would read files."""


def lines(page):
    """The page's commands of tljax and its experiments, each with its continued lines."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    every = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in every if line.startswith(("tljax ", "python -m experiments."))]


COMMANDS = dict.fromkeys(line for page in PAGES for line in lines(page))


def test_the_pages_on_tasks_texts_and_other_photographs_have_commands():
    for name, least in (("tasks", 6), ("text", 6), ("generalise", 9)):
        assert len(lines(ROOT / "docs" / "howto" / f"{name}.md")) >= least


@pytest.fixture
def parse(monkeypatch):
    """Give a line to the command that it names, until its parser has accepted it."""

    accept = argparse.ArgumentParser.parse_args

    def stop(parser, args=None):
        accept(parser, args)
        raise Parsed

    def parse(line):
        words = shlex.split(line, comments=True)
        monkeypatch.setattr(sys, "argv", words)
        if words[0] == "tljax":
            door.main()
        else:
            monkeypatch.setattr(sys, "argv", words[2:])
            importlib.import_module(words[2]).main()

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.chdir(ROOT / "docs" / "howto")  # where the page on a base of one's own has its file
    monkeypatch.setattr(running, "run", lambda main: main())
    return parse


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_a_page_is_accepted(line, parse):
    with pytest.raises(Parsed):
        parse(line)


def test_an_option_that_is_not_there_is_not(parse, capsys):
    with pytest.raises(SystemExit):
        parse("tljax suspects --run runs/cross_validate --nothing")
    assert "--nothing" in capsys.readouterr().err
