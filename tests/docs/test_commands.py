"""The commands on the how-to pages of a newcomer run as written, on smaller data."""

import pathlib
import re
import shlex
import sys

import pytest

from tljax.commands import door

HOWTO = pathlib.Path(__file__).resolve().parents[2] / "docs" / "howto"
PAGES = ("few", "many", "unbalanced", "offline", "keras", "explain")
SMALL = ["--size", "32", "--epochs", "1"]
TRAINS = ("linear", "features", "frozen", "cross-validate", "labels")
FEWER = {"--labels 50 100 200 all --seeds 5": "--labels 4 all --seeds 1"}  # of twelve photographs
QUICK = ("show", "weights", "predict")  # seconds together; the others compile
LINE = re.compile(r"^tljax .*$", re.MULTILINE)


def commands():
    """Every command in a block of shell on these pages, once."""
    blocks = [
        block
        for page in PAGES
        for block in re.findall(
            r"^```sh\n(.*?)^```", (HOWTO / f"{page}.md").read_text(encoding="utf-8"), re.M | re.S
        )
    ]
    return list(dict.fromkeys(line for block in blocks for line in LINE.findall(block)))


def marked(line):
    slow = shlex.split(line)[1] not in QUICK
    return pytest.param(line, id=line, marks=pytest.mark.slow if slow else ())


@pytest.mark.parametrize(
    "line", [marked(line) for line in commands() if " ladder" not in line[:13]]
)
def test_a_command_of_the_how_tos_runs(line, reader, monkeypatch, capsys):
    for usual, fewer in FEWER.items():
        line = line.replace(usual, fewer)
    words = shlex.split(line)
    small = SMALL if words[1] in TRAINS else ["--quiet"] if words[1] == "inside" else []
    monkeypatch.setattr(sys, "argv", [*words, *small])
    door.main()
    assert capsys.readouterr().out
