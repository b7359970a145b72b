"""`tljax labels`: rungs on a few of the labels, and on all of them what the ladder has."""

import json
import sys

import pytest
from PIL import Image

from tljax.commands import labels, rungs
from tljax.models import ops
from tljax.report.pictures import labels as picture


@pytest.fixture
def called(monkeypatch, in_a_hurry, tmp_path):
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(command, words):
        monkeypatch.setattr(sys, "argv", words.split())
        command()

    return call


def test_all_labels_are_the_rung_itself(called, photographs, base, tmp_path, capsys):
    like = f"--data {photographs} --size 32 --weights {base} --quiet --seed 3"
    called(labels.main, f"labels {like} --labels 4 all --rungs linear --workdir {tmp_path}/l")
    found = json.loads((tmp_path / "l/labels.json").read_text())
    assert found["labels"] == [4, 12]
    assert found["rungs"] == ["linear"]
    said = capsys.readouterr().out
    assert "not shown: 12 labels, linear against 4 labels, linear" in said
    with Image.open(tmp_path / "l/labels.png") as drawn:
        assert drawn.width > 500
    called(rungs.linear, f"linear {like} --workdir {tmp_path}/r")
    whole = json.loads((tmp_path / "r/results.json").read_text())["rungs"][0]
    column = found["ways"]["12 labels, linear"]["columns"]["as they are"]
    assert column["accuracy"] == pytest.approx(whole["validation"]["accuracy"])


@pytest.mark.parametrize("number", ["1", "13"])
def test_a_number_that_cannot_be_drawn_is_refused(called, photographs, base, tmp_path, number):
    words = f"labels --data {photographs} --size 32 --weights {base} --quiet --labels {number}"
    with pytest.raises(labels.InputError, match=f"--labels {number}: expected 2 .* to 12"):
        called(labels.main, f"{words} --workdir {tmp_path}")


def test_a_rung_brings_the_ones_it_starts_from():
    assert labels._with_starts(["differential", "linear"]) == [
        "linear",
        "frozen",
        "finetune",
        "differential",
    ]
    assert labels._with_starts(["scratch"]) == ["scratch"]


def test_names_at_the_ends_of_curves_do_not_touch():
    assert picture._apart([3.0, 1.0, 1.5], gap=1.0) == [3.0, 1.0, 2.0]
    assert picture._apart([2.0, 2.0], gap=0.5) == [2.0, 2.5]
