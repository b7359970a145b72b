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


def shown(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["show", *words, "--quiet"])
    show.main()
    return capsys.readouterr().out.splitlines()


def test_texts_are_counted_and_the_first_of_each_class_are_printed(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tokenizers")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    texts = [f"{name},{name} says {i} and more" for i in range(6) for name in ("cat", "dog")]
    (tmp_path / "t.csv").write_text("\n".join(["label,text", *texts]))
    lines = shown(monkeypatch, capsys, f"csv:{tmp_path}/t.csv", "--task", "text")
    assert "cat, dog; 10 training and 2 validation texts of" in lines[0]
    assert [line.split() for line in lines[4:6]] == [["cat", "5", "1"], ["dog", "5", "1"]]
    assert [line for line in lines[7:] if not line.startswith("  ")] == ["cat", "dog"]
    assert sum("cat says" in line for line in lines) == show.TEXTS


def test_numbers_have_their_ranges(tmp_path, monkeypatch, capsys):
    plant(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = [f"cat/{i}.png,{('train', 'val')[i % 2]},{i + 0.5}" for i in range(6)]
    (tmp_path / "t.csv").write_text("\n".join(["file,split,width", *rows]))
    words = [f"csv:{tmp_path}/t.csv", "--label-columns", "width", "--out", str(tmp_path / "out")]
    lines = shown(monkeypatch, capsys, *words, "--size", "16")
    assert lines[4].split("  ")[:1] == ["width"]
    assert [lines[4].find(told) > 0 for told in ("0.5, 2.5, 4.5", "1.5, 3.5, 5.5")] == [True] * 2
