"""A command refuses before it begins: a run that lies in its workdir stays whole."""

import sys

import numpy as np
import pytest
from PIL import Image

from tljax.commands import cross_validate, labels, lr_find, running, sweep
from tljax.commands.climb.rung import named
from tljax.commands.runner import main
from tljax.data.critters import BASE

WORDS = {"sunny": "warm light on the hill", "rainy": "cold drops on the roof"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """classes/, numbers.csv, masked/ and texts/, of a few examples; run/, a finished one."""
    root, draw = tmp_path_factory.mktemp("refused"), np.random.default_rng(0)

    def picture(path, shape=(32, 32, 3), most=255):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, most, shape).astype(np.uint8)).save(path)

    lines = ["file,label"]
    for i in range(12):
        picture(root / "classes" / ("cat" if i % 2 else "dog") / f"{i}.png")
        picture(root / "numbers" / f"{i}.png")
        picture(root / "masked" / "images" / f"{i}.png")
        picture(root / "masked" / "masks" / f"{i}.png", (32, 32), most=2)
        lines.append(f"{i}.png,{i + 0.5}")
        for label, text in WORDS.items():
            path = root / "texts" / label / f"{i}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text} number {i}")
    (root / "numbers" / "numbers.csv").write_text("\n".join(lines))
    for name in ("config.json", "metrics.jsonl", "results.json", "checkpoints/linear-seed0/state"):
        path = root / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"rungs": []}\n')
    return root


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rung(name):
    return lambda: main(None, experiment=name, rungs=named([name]))


CLASSES, NUMBERS, MASKS, TEXTS = (
    "--data folder:classes",
    "--data csv:numbers/numbers.csv",
    "--data folder:masked",
    "--task text --data texts",
)
REFUSED = [
    (rung("scratch"), f"{NUMBERS} --class-weights balanced", "no classes to weigh"),
    (rung("scratch"), f"{NUMBERS} --label-smoothing 0.1", "no labels to smooth"),
    (rung("scratch"), f"{CLASSES} --dice 1", "dice: expected masks, found classification"),
    (rung("scratch"), f"{NUMBERS} --dice 1", "dice: expected masks, found regression"),
    (rung("scratch"), f"{TEXTS} --dice 1", "dice: expected masks, found text"),
    (rung("scratch"), f"{TEXTS} --mixup 0.2", "mixup: expected floats to mix, found tokens"),
]
BASED = [
    (rung("linear"), f"{CLASSES} --mixup 0.2", "--mixup: expected a rung of steps, found linear"),
    (rung("linear"), NUMBERS, "is a classification, found regression"),
    (labels.main, NUMBERS, "labels: expected classes, found data for regression"),
    (labels.main, MASKS, "labels: expected classes, found data for segmentation"),
    (labels.main, f"{CLASSES} --labels 1", "--labels 1: expected 2"),
    (cross_validate.main, NUMBERS, "expected classes, found data for regression"),
    (cross_validate.main, MASKS, "expected classes, found data for segmentation"),
    (cross_validate.main, f"{CLASSES} --folds 99", "folds: expected from 2 to"),
    (cross_validate.main, f"{CLASSES} --skip-nonfinite", "each seed skips steps of its own"),
    (sweep.main, f"{MASKS} --lr 0.1", "convolutions with a kernel for each seed are slow"),
    (sweep.main, f"{CLASSES} --augment-strength 1", "strength"),
    (lr_find.main, f"{NUMBERS} --class-weights balanced", "no classes to weigh"),
]


@pytest.mark.parametrize(
    ("command", "words", "fault"),
    [
        *[(command, f"{words} --size 16", fault) for command, words, fault in REFUSED],
        *[
            (command, f"{words} --size 32 --weights {BASE}", fault)
            for command, words, fault in BASED
        ],
    ],
)
def test_a_finished_run_is_whole_after_a_refusal(command, words, fault, place, monkeypatch, capsys):
    before = contents(place / "run")
    monkeypatch.chdir(place)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    words = f"tljax {words} --quiet --overwrite --workdir run"
    monkeypatch.setattr(sys, "argv", words.split())
    with pytest.raises(SystemExit):
        running.run(command)
    said = capsys.readouterr().err
    assert fault in said
    assert said.count("\n") == 1
    assert contents(place / "run") == before
