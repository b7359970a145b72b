import json
import sys
from dataclasses import replace

import pytest

from tljax import config
from tljax.commands import lr_find
from tljax.errors import InputError
from tljax.models import ops
from tljax.train import lr_suggestions

WORDS = (
    "lr_find --data {data} --size 32 --weights {base} --rung finetune --steps 24 "
    "--workdir {workdir}"
)


@pytest.fixture
def command(photographs, base, in_a_hurry, tmp_path, monkeypatch):
    """Runs the command, on rungs two steps long, and returns its workdir."""

    def run(extra=""):
        short = {"epochs": 1, "images_per_epoch": 6, "batch_size": 3, "views": 2}
        brief = {n: replace(config.PRESETS["tuned"][n], **short) for n in ("frozen", "finetune")}
        monkeypatch.setitem(config.PRESETS, "tuned", brief)
        monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        words = WORDS.format(data=photographs, base=base, workdir=tmp_path / "run") + extra
        monkeypatch.setattr(sys, "argv", words.split())
        lr_find.main()
        return tmp_path / "run"

    return run


def test_the_command_leaves_a_curve_and_its_numbers(command, capsys, monkeypatch):
    """Two seeds of a fine-tuning stage over the rung below it, as if the six photographs taught it
    anything; a second run there must be asked for.
    """
    monkeypatch.setattr(lr_suggestions, "fell", lambda *_, **__: True)
    workdir = command(" --seeds 2 --seed 5 --low 1e-5 --high 1e-1")
    assert {"lr_find.png", "lr_find.json"} <= {path.name for path in workdir.iterdir()}
    told = json.loads((workdir / "lr_find.json").read_text())
    assert list(told["seeds"]) == ["5", "6"]
    for seed in told["seeds"].values():
        assert seed["rates"][0] == 1e-5
        assert len(seed["rates"]) == len(seed["losses"]) == len(seed["smoothed"]) <= 24
    names = ["steepest", "minimum/10", "valley", "slide"]
    assert list(told["suggestions"]) == names
    valleys = [seed["suggestions"]["valley"] for seed in told["seeds"].values()]
    assert told["suggestions"]["valley"] == pytest.approx((valleys[0] * valleys[1]) ** 0.5)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(
        "preprocessing: RGB / 255, ImageNet mean (0.485, 0.456, 0.406) subtracted, "
    )
    assert [line.split()[0] for line in lines if line.startswith(tuple(names))] == names
    with pytest.raises(InputError, match=r"holds lr_find\.json; name another"):
        command()


def test_a_test_that_knows_nothing_says_so_and_what_to_do(command, capsys):
    workdir = command()
    told = json.loads((workdir / "lr_find.json").read_text())
    assert told["suggestions"] == told["seeds"]["0"]["suggestions"] == {}
    assert "seed 0: no rate to be found: the loss does not fall (smoothed from" in (
        capsys.readouterr().out
    )


def test_a_base_is_asked_for_and_rates_are_checked(photographs, tmp_path, monkeypatch):
    words = f"lr_find --data {photographs} --size 32 --workdir {tmp_path / 'run'} --quiet"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for extra, told in (
        ("", "needs a pretrained base"),
        (" --low 1 --high 0.1", "expected 0 < low < high"),
    ):
        monkeypatch.setattr(sys, "argv", (words + extra).split())
        with pytest.raises(InputError, match=told):
            lr_find.main()
    assert not (tmp_path / "run").exists()


def test_rungs_are_trained_in_order():
    assert lr_find._rungs_below("scratch") == []
    assert lr_find._rungs_below("differential") == ["frozen", "finetune"]
