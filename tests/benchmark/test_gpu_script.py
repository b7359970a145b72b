"""`.ci/gpu`, which a person runs on an accelerator: its parts, dry, on the CPU."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ["card", "steps", "tests", "benchmark", "ladder", "again", "programs", "views"]


def script(*words, out):
    environment = {**os.environ, "PYTHON": sys.executable, "OUT": str(out), "XLA_FLAGS": ""}
    for name in ("DATA", "WEIGHTS", "TORCH_PYTHON", "WHEEL", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    command = [str(ROOT / ".ci" / "gpu"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3600)


def test_a_part_that_is_none_is_named_before_anything_runs(tmp_path):
    ended = script("card", "everything", out=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"gpu: expected --dry, or some of {' '.join(PARTS)}; found ")
    assert ended.stderr.endswith("'everything'\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_every_part_runs_dry_and_leaves_a_line_for_each_figure(tmp_path):
    ended = script("--dry", out=tmp_path)
    lines = (tmp_path / "figures.txt").read_text().splitlines()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines() == lines
    for part in PARTS:
        assert any(line.startswith(f"({part}: ") for line in lines), part
    told = "\n".join(lines)
    assert "steps: 4 skipped, 10 deselected" in told
    assert re.search(r"^tests: \d+ skipped, 4 deselected", told, re.MULTILINE)
    assert "scratch step at 32: " in told
    assert "ended with status" not in told
    for run, rungs in (("ladder", 6), ("again", 6), ("views", 2)):
        assert len(json.loads((tmp_path / f"{run}.json").read_text())["rungs"]) == rungs
        assert f"{run}: " in told
    assert len(json.loads((tmp_path / "benchmark" / "benchmark.json").read_text())["rows"]) == 3
    for each in json.loads((tmp_path / "programs4.json").read_text())["programs"]:
        assert each["kernels"] > 10
        assert each["seconds"] > 0
