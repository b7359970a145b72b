"""The walk from the command to the gradient leads through files and lines that are there."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (\d) \| `([\w/.]+)` \| `(\w+)`, (\d+) \|", re.MULTILINE)


def test_each_stop_of_the_walk_is_where_the_page_says():
    rows = ROW.findall((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    assert 5 <= len(rows) <= 7
    for _, file, function, line in rows:
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        assert lines[int(line) - 1].startswith(f"def {function}("), (file, function, line)
