"""Cross-validations reported and compared: the figures of the logits that were held out."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tljax.commands import report
from tljax.errors import InputError
from tljax.report.pages import folds, runs, runs_page
from tljax.runs import out_of_fold

LABELS = np.array([0, 0, 1, 1])
IDS = ("a.png", "b.png", "c.png", "d.png")


def cross_validation(folder, *, right):
    """The files of a cross-validation in two folds, `right` [seeds, 4] says where it was right."""
    folder.mkdir()
    data = {"digest": "abc", "classes": ["ant", "bee"], "train_images": 4, "source": "folder:x"}
    documents = {
        "config.json": {"arguments": {}, "command": ["tljax", "cross-validate"]},
        "results.json": {"task": {"name": "classification"}, "data": data, "rungs": []},
        out_of_fold.FILE: {
            "arguments": {"folds": 2},
            "folds": [{"n": 2, "accuracy": 0.25}, {"n": 2, "accuracy": 0.875}],
            "most_often_wrong": [["b.png", 0.5]],
        },
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))
    train = SimpleNamespace(labels=LABELS, ids=IDS)
    sets: Any = SimpleNamespace(train=train, classes=("ant", "bee"), digest="abc")
    for seed, each in enumerate(np.asarray(right, bool)):
        logits = 3.0 * np.eye(2)[np.where(each, LABELS, 1 - LABELS)]
        out_of_fold.write(folder, logits, seed=seed, sets=sets)
    return folder


def test_the_page_has_seeds_folds_and_what_was_wrong(tmp_path):
    folder = cross_validation(tmp_path / "a", right=[[1, 1, 1, 0], [1, 0, 1, 0]])
    text = folds.write_page(folder).read_text()
    assert "62.5 % " in text.partition("</h1>")[0].partition("<h1>")[2]
    assert "of 4 photographs, each by a head that had not seen it (2 folds, 2 seeds)" in text
    for number in ("75.0", "50.0", "25.0", "87.5"):  # of each seed, of each fold
        assert f"<span>{number}\N{NO-BREAK SPACE}%</span>" in text
    assert "b.png" in text
    assert "No rung" not in text


def test_two_are_paired_on_the_photographs_that_each_held_out(tmp_path):
    first = cross_validation(tmp_path / "a", right=[[1, 0, 0, 0]])
    second = cross_validation(tmp_path / "b", right=[[1, 1, 1, 1]])
    split, both = runs.read_runs([first, second])
    assert split == "held-out"
    (line,) = runs.difference_lines(both)
    assert line.startswith("cross-validate: b beats a by 75.0 points")
    text = runs_page.write_comparison([first, second], out=tmp_path / "page.html").read_text()
    assert "Paired on the same 4 held-out images" in text
    assert "b beats a by 75.0 points" in text


def test_what_another_command_left_is_named(tmp_path, monkeypatch):
    folder = cross_validation(tmp_path / "a", right=[[1, 0, 0, 0]])
    (folder / out_of_fold.FILE).rename(folder / "sweep.json")
    (folder / "sweep.png").touch()
    monkeypatch.setattr("sys.argv", ["report", "--run", str(folder)])
    with pytest.raises(InputError, match=r"what tljax sweep left: sweep\.json, sweep\.png"):
        report.main()
    assert not (folder / "report.html").exists()


def test_a_run_of_rungs_beside_a_cross_validation_is_refused(tmp_path, write):
    first = cross_validation(tmp_path / "a", right=[[1, 0, 0, 0]])
    (tmp_path / "b").mkdir()
    write(tmp_path / "b", rungs=("frozen",))
    results = json.loads((tmp_path / "b" / "results.json").read_text())
    results["data"]["digest"] = "abc"
    (tmp_path / "b" / "results.json").write_text(json.dumps(results))
    with pytest.raises(InputError, match=r"a: expected a run of rungs.*found a cross-validation"):
        runs.read_runs([tmp_path / "b", first])
