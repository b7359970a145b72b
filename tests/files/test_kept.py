"""The cache listed and pruned: least recently used first, nothing in use, nothing elsewhere."""

import os
import sys
import time

import pytest

from tljax.commands.machine import cache
from tljax.errors import InputError
from tljax.files import kept, lock
from tljax.inputs import feature_store

DAY = 86400
STEM = "ab" * 32


def file(path, *, size=100, days=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    used = time.time() - days * DAY
    os.utime(path, (used, used))
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache with something of each kind, and what is not its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = tmp_path / "tljax"
    file(root / f"{STEM}.npy", size=1000, days=50)
    file(root / f"{STEM}.json", size=10, days=50)
    file(root / "features" / "block_1-0a1b2c3d-4e5f6a7b" / "train-view0-0.h5", days=40)
    file(root / "features" / "block_1-0a1b2c3d-4e5f6a7b" / "train-view1-1.h5", days=2)
    file(root / "features" / "all-0a1b2c3d-4e5f6a7b" / "train-2.h5")
    file(root / "xla" / "jit_step-cache", days=60)
    file(root / "weights" / "base.h5", size=5000, days=900)
    file(root / "lowering" / "cpu.json", days=900)
    file(root / "mine.txt", days=900)
    file(tmp_path / "elsewhere" / "block_2-0a1b2c3d-4e5f6a7b" / "train-3.h5", days=900)
    (root / "features" / "linked-0a1b2c3d-4e5f6a7b").symlink_to(tmp_path / "elsewhere")
    return root


def names(every):
    return [each.files[-1].name for each in every]


def test_what_is_kept_is_told_with_data_and_base(folder):
    every = kept.kept(folder)
    features = [(x.what, x.data, x.base) for x in every if x.kind == "features"]
    assert sorted(features) == [
        ("all", "0a1b2c3d", "4e5f6a7b"),
        ("block_1", "0a1b2c3d", "4e5f6a7b"),
        ("block_1", "0a1b2c3d", "4e5f6a7b"),
    ]
    (photographs,) = [each for each in every if each.kind == "photographs"]
    assert (photographs.bytes, len(photographs.files)) == (1010, 2)
    assert sum(each.bytes for each in every) == 1010 + 4 * 100 + 5000 + 100
    assert not {"mine.txt", "train-3.h5"} & {*names(every)}


def test_the_least_recently_used_goes_first_and_what_must_stay_stays(folder):
    every, now = kept.kept(folder), time.time()
    old = kept.chosen(every, older=30 * DAY, most=None, now=now)
    assert names(old) == ["jit_step-cache", f"{STEM}.npy", "train-view0-0.h5"]
    # 6,510 bytes in all: without the oldest program and photographs 5,400 stay.
    assert names(kept.chosen(every, older=None, most=5400, now=now)) == names(old)[:2]
    both = kept.chosen(every, older=55 * DAY, most=5400, now=now)
    assert names(both) == names(old)[:2]
    everything = names(kept.chosen(every, older=None, most=0, now=now))
    assert everything == [*names(old), "train-view1-1.h5"]  # not what was used just now


def test_nothing_is_deleted_that_is_written_or_was_read_since(folder):
    every = {each.files[-1].name: each for each in kept.kept(folder)}
    features, photographs = every["train-view0-0.h5"], every[f"{STEM}.npy"]
    (folder / "writing-x").mkdir()
    holding = [lock.taken(path, wait=False) for path in (features.folder, folder / "writing-x")]
    assert not kept.delete(folder, features)
    assert not kept.delete(folder, photographs)
    for handle in filter(None, holding):
        os.close(handle)
    os.utime(features.files[0])
    assert not kept.delete(folder, features)
    assert kept.delete(folder, photographs)
    assert features.files[0].exists()
    assert not any(each.exists() for each in photographs.files)


def test_the_command_says_what_it_would_delete_and_deletes_when_told(folder, monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["cache", *words])
        cache.main()
        return capsys.readouterr().out

    before = sorted(folder.rglob("*"))
    assert "6.5 kB" in call()
    assert "5.3 kB would stay: --delete does it" in call("--older-than", "30")
    assert sorted(folder.rglob("*")) == before
    assert "deleted 1.2 kB" in call("--older-than", "30", "--delete")
    gone = {path.name for path in before} - {path.name for path in folder.rglob("*")}
    assert gone == {"jit_step-cache", f"{STEM}.npy", f"{STEM}.json", "train-view0-0.h5"}
    with pytest.raises(InputError, match="--delete: expected --older-than or --prune"):
        call("--delete")


def test_features_deleted_while_they_are_looked_for_are_computed_again(tmp_path, monkeypatch):
    rows = feature_store.Rows("train", {"layer": "x"}, 2, (3,))
    monkeypatch.setattr(type(tmp_path), "exists", lambda path: True)
    assert feature_store.found(tmp_path / "gone.h5", rows) is None
