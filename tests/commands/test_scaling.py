import sys

import jax
import pytest

from experiments import scaling


def run(monkeypatch, words):
    monkeypatch.setattr(scaling, "MOST", 4)
    monkeypatch.setattr(
        jax.config, "update", lambda name, value: None
    )  # the session has its devices already
    monkeypatch.setattr(sys, "argv", ["scaling", *words.split()])
    scaling.main()


def test_what_is_counted_is_what_is_predicted(monkeypatch, capsys):
    run(monkeypatch, "--rungs frozen --size 32 --width 0.0625 --batch 2 --images 8")
    trained = 4 * (32 * 256 + 256 + 256 + 1) + 8
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[:6] for row in rows] == [
        ["frozen", "1", "2", "0.25", "0", "0"],
        ["frozen", "2", "4", "0.50", f"{trained:,}", f"{trained:,}"],
        ["frozen", "4", "8", "1.00", f"{trained:,}", f"{trained:,}"],
    ]


def test_bytes_that_nobody_predicted_end_with_status_1(monkeypatch):
    real = scaling.audit

    def more(dry, over):
        found = real(dry, over)
        return scaling.replace(found, exchanged=scaling.replace(found.exchanged, found=64))

    monkeypatch.setattr(scaling, "audit", more)
    with pytest.raises(SystemExit, match="1"):
        run(monkeypatch, "--rungs frozen --size 32 --width 0.0625 --batch 2")
