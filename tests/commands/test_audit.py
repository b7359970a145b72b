import re
import sys

import pytest

from tljax.audit.abstract_step import Dry
from tljax.commands import audit
from tljax.models import ops


def test_a_rung_is_audited_without_data(in_a_hurry, monkeypatch, capsys):
    words = "audit --rung finetune --preset deck-keras3 --size 32 --width 0.0625 --batch 8"
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
    monkeypatch.setattr(sys, "argv", words.split())
    audit.main()
    head, _, _, *rows = capsys.readouterr().out.rstrip().splitlines()
    assert head == "finetune: a step on each of 8 devices"
    names = [
        "FLOPs",
        "FLOPs of compiled products",
        "FLOPs by the compiler",
        "temporary bytes",
        "all-reduce bytes",
        "other collectives' bytes",
    ]
    assert [row.split("  ")[0] for row in rows[:7]] == [*names, "optimizer bytes"]
    # Block 5: three layers of 9 x 32 x 32 + 32; the head: 32 x 256 + 256 and 257.
    parameters = 3 * (9 * 32 * 32 + 32) + 32 * 256 + 256 + 257
    sent = f"{(4 * parameters + 8) / 1e3:.4g}"
    assert rows[4].split()[2:] == [sent, "k", sent, "k", "1.0000"]
    assert rows[5].split()[-3:] == ["0", "0", "1.0000"]
    alone, whole = map(int, re.findall(r"\d+", rows[7]))
    assert rows[7].startswith(f"kernels: {alone} of the step alone; {whole} with its draws")
    assert alone < whole < alone + 60
    assert rows[8:] == [
        "trained: 10 leaves; not reached by the images: none",
        "frozen: 20 leaves; moved by the step: none",
        "after a step on random images their bits are the same",
    ]


def test_a_step_that_is_not_sound_ends_in_status_1(in_a_hurry, monkeypatch, capsys):
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
    monkeypatch.setattr(Dry, "keeps_bits", lambda self, over: False)
    monkeypatch.setattr(
        sys,
        "argv",
        ["audit", "--rung", "frozen", "--size", "32", "--width", "0.0625", "--batch", "1"],
    )
    with pytest.raises(SystemExit) as ended:
        audit.main()
    assert ended.value.code == 1
    assert "after a step on random images their bits are NOT the same" in capsys.readouterr().out
