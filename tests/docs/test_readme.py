"""The README is one map: short, and all that it points at is there."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r'\]\(([^)#:]+)\)|src="([^"]+)"')
# As .ci/run reads them.
NTH = r"""/^## / { on = /Two commands/ }
/^```sh/ { n++; fenced = 1; next }
/^```/ { fenced = 0; next }
on && fenced && n == want { print }"""


def test_it_is_short():
    assert len(README.splitlines()) <= 150


def test_what_it_links_to_is_there():
    links = [page or picture for page, picture in LINK.findall(README)]
    assert len(links) > 15
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_its_two_commands_are_the_ladder_and_the_tests():
    first, second = (nth_command(n) for n in (1, 2))
    assert "pip install" in first
    assert "ladder" in first
    assert second.endswith(" -m pytest -q\n")


def nth_command(n):
    words = ["awk", NTH, f"want={n}", str(ROOT / "README.md")]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
