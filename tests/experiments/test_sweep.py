"""The commands that train heads in numbers: a grid of seeds and rates, and folds."""

import json
import sys

import pytest

from experiments import cross_validate, sweep
from tljax.errors import InputError
from tljax.models import ops


@pytest.fixture
def command(photographs, base, in_a_hurry, tmp_path, monkeypatch):
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(module, words):
        name = module.__name__.rpartition(".")[2]
        common = f"--data {photographs} --size 32 --weights {base} --quiet --budget 0.1 --workdir {tmp_path / 'run'}"
        monkeypatch.setattr(sys, "argv", [name, *common.split(), *words.split()])
        module.main()
        return json.loads((tmp_path / "run" / f"{name}.json").read_text())

    return run


def test_a_grid_is_seeds_times_values(command, capsys, tmp_path):
    told = command(sweep, "--seeds 2 --lr 1e-3 1e-2 --dropout 0 0.5")
    runs = [(run["seed"], run["values"]["lr"], run["values"]["dropout"]) for run in told["runs"]]
    assert sorted(runs) == [(seed, lr, dropout) for seed in (0, 1) for lr in (1e-3, 1e-2) for dropout in (0, 0.5)]
    assert all(run["finite"] and run["validation"]["n"] == 6 for run in told["runs"])
    printed = capsys.readouterr().out
    assert "features: 8 members in 1 call" in printed
    assert (tmp_path / "run" / "sweep.png").stat().st_size > 5_000
    with pytest.raises(InputError, match=r"sweep\.json exists; name another --workdir, or pass --overwrite"):
        command(sweep, "--lr 1e-3")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "sweep: expected values of one or more of --lr, --dropout, --augment-strength, --momentum"),
        ("--rung scratch --lr 1e-3", "sweep: rung scratch: base/conv1/kernel trains: convolutions with a kernel"),
        ("--momentum 0.9", "sweep: rmsprop has no momentum to vary"),
    ],
)
def test_what_cannot_be_swept_is_refused(command, words, message):
    with pytest.raises(InputError, match=message):
        command(sweep, words)


def test_folds_judge_every_training_photograph(command, capsys):
    told = command(cross_validate, "--folds 3 --seeds 2")
    assert {seed: row["n"] for seed, row in told["seeds"].items()} == {"0": 12, "1": 12}
    printed = capsys.readouterr().out
    assert "features: 6 members in 1 call" in printed
    assert "95 % interval over seeds" in printed
    wrong = [row["accuracy"] < 1 for row in told["seeds"].values()]
    assert bool(told["most_often_wrong"]) == any(wrong)
