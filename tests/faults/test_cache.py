"""What a killed process leaves in the cache is cleared away by the next;
what a living one writes there is not.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tljax.data import cache

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import pathlib, sys
import numpy as np
from tljax.data import cache

def rows():
    yield np.zeros((4, 4, 3), np.uint8)
    print("writing", flush=True)
    sys.stdin.readline()
    yield np.ones((4, 4, 3), np.uint8)

cache.stored(["other"], rows, shape=(2, 4, 4, 3), folder=pathlib.Path(sys.argv[1]))
"""


def writer(folder):
    """A process in the middle of its writing; it goes on when it is told to."""
    pipe, environment = subprocess.PIPE, os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)],
        stdin=pipe,
        stdout=pipe,
        env=environment,
        text=True,
    )
    assert process.stdout.readline() == "writing\n"
    return process


def stored(folder, name):
    rows = [np.full((4, 4, 3), i, np.uint8) for i in range(3)]
    found, _ = cache.stored([name], lambda: iter(rows), shape=(3, 4, 4, 3), folder=folder)
    np.testing.assert_array_equal(found, np.stack(rows))


def test_leftovers_of_the_dead_go_and_the_living_finish(tmp_path):
    dead, living = writer(tmp_path), writer(tmp_path)
    (tmp_path / "writing-elsewhere").symlink_to(tmp_path.parent)  # nobody's: not followed
    assert len(list(tmp_path.glob("writing-*/draft"))) == 2
    dead.kill()
    dead.communicate()
    stored(tmp_path, "first")
    assert len(list(tmp_path.glob("writing-*/draft"))) == 1
    stored(tmp_path, "second")
    living.communicate("go on\n", timeout=60)
    assert living.returncode == 0
    (tmp_path / "writing-elsewhere").unlink()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json"] * 3 + [".npy"] * 3
