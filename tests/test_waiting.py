"""Bars are for terminals, say what is left, and leave nothing behind; lines go above them."""

import io
from types import SimpleNamespace

import pytest

from tljax import waiting


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A terminal on standard error, and seconds that pass when they are told to."""
    made = Terminal()
    monkeypatch.setattr(waiting, "sys", SimpleNamespace(stderr=made, stdout=io.StringIO()))
    monkeypatch.setattr(waiting, "DELAY", 0)
    yield made
    waiting.then(None)


def left(bar, *, elapsed):
    bar._time = lambda: bar.start_t + elapsed
    return bar.format_dict["left"]


def test_a_bar_says_how_long_its_phase_takes_and_the_whole(terminal):
    with waiting.bar(40, "frozen: train", unit="steps") as bar:
        assert left(bar, elapsed=2) == "2 s so far"
        bar.update(10)
        assert left(bar, elapsed=30) == "1 min 30 s left"
        waiting.then(3600)
        assert left(bar, elapsed=30) == "1 min 30 s left; all done in 1 h 1 min"
    assert "frozen: train" in terminal.getvalue()


def test_phases_that_take_alike_know_what_follows(terminal, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(waiting, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    pace, follows = waiting.Pace(3), []
    for took in (10.0, 20.0, 30.0):
        pace.begins()
        follows.append(waiting.Bar.follows)
        now[0] += took
    assert follows == [None, 10.0, None]


def test_steps_that_were_done_before_are_no_pace(terminal):
    with waiting.bar(40, "frozen: train", unit="steps", done=20) as bar:
        assert left(bar, elapsed=2) == "2 s so far"
        bar.update(10)
        assert left(bar, elapsed=10) == "10 s left"


def test_a_bar_that_ended_is_wiped(terminal):
    assert list(waiting.over([1, 2], "look", unit="files", shown=True)) == [1, 2]
    assert terminal.getvalue().split("\r")[-1] == ""
    assert terminal.getvalue().split("\r")[-2].strip() == ""


def test_without_a_terminal_there_are_lines_alone(capsys):
    with waiting.bar(2, "look", unit="files") as bar:
        bar.update()
        waiting.say("half of it")
    assert list(waiting.over([1], "look", unit="files", shown=True)) == [1]
    assert capsys.readouterr() == ("half of it\n", "")


def test_what_is_not_to_be_shown_is_not(terminal):
    assert list(waiting.over([1], "look", unit="files", shown=False)) == [1]
    assert terminal.getvalue() == ""
