"""The ladder killed, stopped, started twice: what is continued ends as if nothing had been."""

import random
import signal
import time

import pytest

from .conftest import outcome

MOMENTS = [random.Random(seed).random() for seed in range(30)]  # of the undisturbed run's time


def resumed(ladder, workdir):
    status, said = ladder.run(workdir, "--resume")
    assert status == 0, said
    return outcome(workdir)


def test_a_killed_ladder_is_resumed_to_the_same_bits(ladder, undisturbed, tmp_path):
    """Killed when the second rung has begun to tell of its epochs."""
    workdir = tmp_path / "run"
    told, process = workdir / "metrics.jsonl", ladder.start(workdir)
    while process.poll() is None and not (told.exists() and told.read_text().count("\n") >= 4):
        time.sleep(0.01)
    assert process.poll() is None
    process.kill()
    process.communicate()
    assert resumed(ladder, workdir) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment(ladder, undisturbed, seconds, tmp_path, moment):
    workdir = tmp_path / "run"
    process = ladder.start(workdir)
    time.sleep(moment * seconds)
    process.kill()
    process.communicate()
    assert resumed(ladder, workdir) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(ladder, undisturbed, tmp_path, number):
    workdir = tmp_path / "run"
    process = ladder.start(workdir)
    while not (workdir / "metrics.jsonl").exists() and process.poll() is None:
        time.sleep(0.02)
    second = ladder.run(workdir, "--resume") if number == signal.SIGTERM else None
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    if second is None:  # else it may be over before the second one was refused
        assert process.returncode == 128 + number, err
        assert err.startswith(f"stopped by {number.name}; to go on: python ")
        assert err.rstrip().endswith("--resume")
        assert err.count("\n") == 1
        status, said = ladder.run(workdir)
        assert status == 2
        assert said.rstrip().endswith("name another --workdir, or pass --overwrite or --resume")
    assert ladder.run(workdir, "--resume")[0] == 0
    assert outcome(workdir) == undisturbed


def test_another_rate_is_not_continued_unless_told(ladder, undisturbed, tmp_path):
    workdir = ladder.folder / "undisturbed"
    status, said = ladder.run(workdir, "--resume", "--views", "1")
    assert status == 2
    assert "this run was begun with other settings: plan.frozen.stage.views 2 -> 1" in said
    assert outcome(workdir) == undisturbed
