"""Whole or not at all: where writing is refused, where it is killed,
and beside others who write the same file.
"""

import json
import os
import signal
import subprocess
import sys

import pytest

from tljax.errors import InputError
from tljax.files import disk

WRITER = """
import pathlib, sys, time
from tljax.files import disk
with disk.replacing(pathlib.Path(sys.argv[1])) as part:
    part.write_bytes(b"half")
    print(part.name, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path):
    """A process half way through the file, and the name of what it has written."""
    words = [sys.executable, "-c", WRITER, str(tmp_path / "x.png")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        yield process, process.stdout.readline().strip()
        process.kill()


def test_what_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    disk.write(tmp_path / "x.png", b"before")

    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr(disk.os, "replace", refuse)
    with pytest.raises(InputError, match=r"x\.png: cannot be written: disk full"):
        disk.write(tmp_path / "x.png", b"data")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("x.png", b"before")]


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path, writer):
    process, part = writer
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert os.listdir(tmp_path) == [part]
    others = {
        f".x.png.elsewhere-{process.pid}.part",
        f"{part}.part",
        part.replace("x.png", "y.png"),
    }
    for name in others:
        (tmp_path / name).write_bytes(b"another's")
    disk.write(tmp_path / "x.png", b"data")
    assert set(os.listdir(tmp_path)) == {"x.png", *others}


def test_what_a_living_process_writes_is_left_alone(tmp_path, writer):
    _, part = writer
    disk.write(tmp_path / "x.png", b"data")
    assert set(os.listdir(tmp_path)) == {"x.png", part}


def test_what_is_no_number_is_null(tmp_path):
    document = {"loss": float("nan"), "rates": [1.0, float("inf")], "shape": (2, 3)}
    path = disk.write_json(tmp_path / "new" / "x.json", document)
    assert json.loads(path.read_text()) == {"loss": None, "rates": [1.0, None], "shape": [2, 3]}
