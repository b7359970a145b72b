"""Locks on folders: one holder, and none at all where Python has no fcntl, as on Windows."""

import gc
import subprocess
import sys

import pytest

from tljax.errors import InputError
from tljax.files import lock


class Owner:
    """Something to live as long as the lock."""


def test_one_process_holds_a_folder_until_its_owner_is_gone(tmp_path):
    owner = Owner()
    lock.hold(tmp_path, owner=owner)
    with pytest.raises(BlockingIOError):
        lock.taken(tmp_path, wait=False)
    with pytest.raises(InputError, match="another process is running here"):
        lock.hold(tmp_path, owner=Owner())
    del owner
    gc.collect()
    lock.hold(tmp_path, owner=Owner())


def test_without_fcntl_nothing_is_locked_and_every_name_is_there(tmp_path):
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "import pathlib, tljax\n"
        "from tljax.files import lock\n"
        "for name in ('Stage', 'load_images', 'load_run', 'fine_tune', 'load_weights'):\n"
        "    getattr(tljax, name)\n"
        f"print(lock.taken(pathlib.Path({str(tmp_path)!r}), wait=False))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr


def test_saved_features_are_written_without_fcntl(tmp_path):
    code = (
        "import sys, pathlib; sys.modules['fcntl'] = None\n"
        "from tljax.inputs.feature_rows import alone\n"
        f"with alone(pathlib.Path({str(tmp_path / 'new' / 'features.h5')!r})): print('inside')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (ran.stdout, ran.returncode) == ("inside\n", 0), ran.stderr
