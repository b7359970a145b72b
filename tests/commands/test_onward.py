"""A run ends with the commands that follow, as they are pasted into a shell."""

import sys

import pytest

from tljax.commands.climb import onward

SCORES = {"name": "frozen", "seed": 0, "validation": {"accuracy": 0.5, "n": 4}}
RESULTS = {"task": {"name": "classification"}, "rungs": [SCORES]}
TEXTS = {"task": {"name": "text"}, "rungs": [SCORES]}


def test_the_next_commands_name_the_run_and_its_page(tmp_path, monkeypatch, capsys):
    run = tmp_path / "my runs" / "ladder"
    run.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "platform", "darwin")
    onward.say_next(run, page=run / "report.html", results=RESULTS, quiet=False)
    said = [line for line in capsys.readouterr().out.splitlines() if line]
    assert said == [
        "tljax predict --run 'my runs/ladder' PHOTO.jpg    # a photograph of yours",
        "open 'my runs/ladder/report.html'",
    ]
    onward.say_next(run, page=run / "report.html", results=TEXTS, quiet=False)
    assert "--run 'my runs/ladder' 'A SENTENCE'    # of yours" in capsys.readouterr().out
    onward.say_next(run, page=run / "report.html", results=TEXTS, quiet=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("quiet", [False, True])
def test_a_run_that_learnt_nothing_is_not_recommended(tmp_path, capsys, quiet):
    row = SCORES | {"collapsed": {"learnt_nothing": True, "said": "x"}}
    page = tmp_path / "report.html"
    onward.say_next(tmp_path, page=page, results=RESULTS | {"rungs": [row]}, quiet=quiet)
    said = capsys.readouterr().out
    assert "nothing was learnt: frozen is the best rung; do not use what" in said
    assert "tljax predict" not in said


def test_a_path_is_written_the_shorter_way(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert onward.short(tmp_path / "a" / "b" / "run") == "run"
    monkeypatch.chdir("/")
    assert onward.short(tmp_path) == str(tmp_path).lstrip("/")
