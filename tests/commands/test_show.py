"""tljax show: counts, what was left out, and two sheets, without a base and before any training."""

import sys

import numpy as np
import pytest
from PIL import Image

from tljax.commands import show
from tljax.errors import InputError


def plant(root):
    rng = np.random.default_rng(0)
    for name, count in (("cat", 6), ("dog", 4)):
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    (root / "notes.txt").write_text("no photograph")


def test_counts_and_sheets(tmp_path, monkeypatch, capsys):
    plant(tmp_path / "photos")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ["show", str(tmp_path / "photos"), "--size", "16", "--quiet", "--out"]
    monkeypatch.setattr(sys, "argv", [*words, str(tmp_path / "out")])
    show.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(
        "cat, dog; 8 training and 2 validation images of 16 x 16; left out: no photographs: 1 .txt"
    )
    assert [line.split() for line in lines[4:6]] == [["dog", "3", "1"], ["cat", "5", "1"]]
    for line, name in zip(lines[-2:], ("contact", "augmented"), strict=True):
        assert line == str(tmp_path / "out" / f"{name}.png")
        with Image.open(line) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 300
    monkeypatch.setattr(sys, "argv", [*words, str(tmp_path / "light"), "--photometric"])
    show.main()
    contact, augmented = (
        [(tmp_path / out / f"{name}.png").read_bytes() for out in ("out", "light")]
        for name in ("contact", "augmented")
    )
    assert contact[0] == contact[1]
    assert augmented[0] != augmented[1]
    monkeypatch.setattr(sys, "argv", [*words, str(tmp_path / "more"), "--rung", "features"])
    show.main()  # on saved features nothing is augmented
    assert [path.name for path in (tmp_path / "more").iterdir()] == ["contact.png"]


def test_a_folder_of_something_else_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["show", str(tmp_path / "nowhere")])
    with pytest.raises(InputError, match="source: expected folder:PATH, csv:FILE"):
        show.main()
