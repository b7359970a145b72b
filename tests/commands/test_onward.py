"""A run ends with the commands that follow, as they are pasted into a shell."""

import sys

from tljax.commands.climb import onward
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.text import TEXT


def test_the_next_commands_name_the_run_and_its_page(tmp_path, monkeypatch, capsys):
    run = tmp_path / "my runs" / "ladder"
    run.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "platform", "darwin")
    onward.say_next(run, page=run / "report.html", task=CLASSIFICATION, quiet=False)
    said = [line for line in capsys.readouterr().out.splitlines() if line]
    assert said == [
        "tljax predict --run 'my runs/ladder' PHOTO.jpg    # a photograph of yours",
        "open 'my runs/ladder/report.html'",
    ]
    onward.say_next(run, page=run / "report.html", task=TEXT, quiet=False)
    assert "--run 'my runs/ladder' 'A SENTENCE'    # of yours" in capsys.readouterr().out
    onward.say_next(run, page=run / "report.html", task=TEXT, quiet=True)
    assert capsys.readouterr().out == ""


def test_a_path_is_written_the_shorter_way(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert onward.short(tmp_path / "a" / "b" / "run") == "run"
    monkeypatch.chdir("/")
    assert onward.short(tmp_path) == str(tmp_path).lstrip("/")
