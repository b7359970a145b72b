"""The commands of the page on masks run as written, on smaller data and shorter."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tljax.commands import door, running

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "segmentation.md"
COMMANDS = re.findall(r"```sh\n(tljax .+?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
SMALLER = {
    "--weights efficientnet-lite0": "--weights base.safetensors",
    "--size 180": "--size 32",
}
SHORT = "--epochs 1 --batch 4 --views 1 --quiet"
NUMBERS = (3, 5, 7, 11)  # of the masks: the last is no class


def scenes(root):
    """Six and three photographs of 40 x 32 of coloured blocks, with their masks."""
    rng = np.random.default_rng(0)
    colours = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [90, 90, 90]], np.uint8)
    for split, count in (("train", 6), ("validation", 3)):
        for i in range(count):
            place = rng.integers(0, 4, (4, 5), np.uint8).repeat(8, 0).repeat(8, 1)
            noise = rng.integers(0, 40, (*place.shape, 3), np.uint8)
            files = {
                "images": colours[place] + noise,
                "masks": np.array(NUMBERS, np.uint8)[place],
            }
            for name, array in files.items():
                path = root / split / name / f"{split}{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(path)


def run(words, patch):
    patch.setattr(sys, "argv", words)
    running.run(door.main)


def test_the_page_has_its_commands():
    kinds = [command.split()[1] for command in COMMANDS]
    assert kinds == ["finetune", "predict", "finetune"]
    text = "".join(COMMANDS)
    assert [usual for usual in SMALLER if usual not in text] == []


@pytest.fixture
def command(reader, monkeypatch):
    """Runs a command of the page, on what is small."""

    def command(text, *more):
        for usual, small in SMALLER.items():
            text = text.replace(usual, small)
        run([*text.split(), *more], monkeypatch)

    scenes(reader / "scenes")
    return command


@pytest.mark.slow
def test_a_run_of_masks_and_the_masks_it_draws(reader, command, capsys):
    train, predict, _ = COMMANDS
    command(train, *SHORT.split())
    results = json.loads((reader / "runs/scenes/results.json").read_text())
    assert results["task"] == {"name": "segmentation", "numbers": [3, 5, 7]}
    assert [row["name"] for row in results["rungs"]] == ["frozen", "finetune"]
    for row in results["rungs"]:
        scores = row["validation"]
        assert {"mIoU", "Dice", "accuracy", "loss"} <= scores.keys()
        assert scores["n"] == 3
    page = (reader / "runs/scenes/report.html").read_text()
    for text in ("mIoU", "<h2>Classes</h2>", "class 7", "Photograph, truth, prediction"):
        assert text in page
    capsys.readouterr()
    command(predict)
    printed = capsys.readouterr().out
    assert "images of 40 x 32" in printed
    for i in range(3):
        name = f"validation{i}"
        assert re.search(rf"{name}\.png: class \d \d+\.\d %", printed)
        with Image.open(reader / "masks" / f"{name}.png") as mask:
            assert (mask.mode, mask.size) == ("P", (40, 32))
            assert set(np.unique(np.asarray(mask))) <= {3, 5, 7}
        with Image.open(reader / "masks" / f"{name}.overlay.jpg") as laid:
            assert laid.size == (40, 32)
    # A photograph of another size gets a mask of that size; a bad file is named.
    Image.new("RGB", (25, 31)).save(reader / "other.png")
    (reader / "bad.png").write_text("nothing")
    with pytest.raises(SystemExit, match="2"):
        command("tljax predict --run runs/scenes --out masks other.png bad.png")
    assert "bad.png" in capsys.readouterr().err
    with Image.open(reader / "masks" / "other.png") as mask:
        assert mask.size == (25, 31)
    command("tljax predict --run runs/scenes --out views other.png", "--views", "2")
    assert "other.png: class" in capsys.readouterr().out


@pytest.mark.slow
def test_masks_of_critters_need_no_data(command, reader):
    command(COMMANDS[2], *SHORT.split(), "--budget", "0.05", "--size", "32")
    results = json.loads((reader / "runs/parts/results.json").read_text())
    assert results["data"]["classes"] == ["background", "body", "head", "ears"]
    assert all(row["validation"]["mIoU"] > 0 for row in results["rungs"])
