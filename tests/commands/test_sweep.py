"""The commands that train many heads: a grid of seeds and rates, and folds."""

import gc
import json
import re
import sys

import jax
import pytest

from tljax.commands import cross_validate, sweep
from tljax.errors import InputError
from tljax.machine import devices
from tljax.models import ops
from tljax.sweep import finished_calls, memory_plan


@pytest.fixture
def command(photographs, base, in_a_hurry, tmp_path, monkeypatch):
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(module, words):
        name = module.__name__.rpartition(".")[2]
        common = (
            f"--data {photographs} --size 32 --weights {base} --budget 0.1 "
            f"--workdir {tmp_path / 'run'}"
        )
        monkeypatch.setattr(sys, "argv", [name, *common.split(), *words.split()])
        module.main()
        return json.loads((tmp_path / "run" / f"{name}.json").read_text())

    return run


def test_a_grid_is_seeds_times_values(command, capsys, tmp_path):
    told = command(sweep, "--seeds 2 --lr 1e-3 1e-2 --dropout 0 0.5")
    runs = [(run["seed"], run["values"]["lr"], run["values"]["dropout"]) for run in told["runs"]]
    assert sorted(runs) == [
        (seed, lr, dropout) for seed in (0, 1) for lr in (1e-3, 1e-2) for dropout in (0, 0.5)
    ]
    assert all(run["finite"] and run["validation"]["n"] == 6 for run in told["runs"])
    printed = capsys.readouterr().out
    assert "features: 8 members in 1 call" in printed
    assert (tmp_path / "run" / "sweep.png").stat().st_size > 5_000
    with pytest.raises(
        InputError,
        match=r"holds sweep\.json; name another --workdir, or pass --overwrite or --resume",
    ):
        command(sweep, "--lr 1e-3")


@pytest.mark.parametrize(
    ("module", "words", "members"),
    [
        pytest.param(sweep, "--seeds 3 --lr 1e-3 1e-2 --most 4", 6, id="sweep"),
        pytest.param(
            cross_validate, "--folds 4 --seeds 2", 8, id="cross_validate", marks=pytest.mark.slow
        ),
    ],
)
def test_stopped_and_resumed_it_leaves_the_same_runs(
    command, capsys, monkeypatch, tmp_path, module, words, members
):
    """Killed after its first call; refused without --resume; then more seeds than before."""
    monkeypatch.setattr(memory_plan, "_even", lambda members, *, most, devices: min(members, 4))
    one = devices.mesh(jax.devices()[:1])
    monkeypatch.setattr(devices, "mesh", lambda given=None: one)
    write = finished_calls.Kept.write

    def killed(self, found):
        write(self, found)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(finished_calls.Kept, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            command(module, words)
    gc.collect()  # the lock of the first goes with its workdir
    with pytest.raises(
        InputError,
        match=r"holds a run \(calls\); name another --workdir, or pass --overwrite or --resume",
    ):
        command(module, words)
    capsys.readouterr()
    told = command(module, f"{words} --resume")
    printed = capsys.readouterr().out
    assert f"features: {members - 4} members in 1 call" in printed
    assert f"{members} runs, {members - 4} of them in these" in printed
    gc.collect()
    whole = command(module, f"{words} --overwrite")
    assert f"features: {members} members in 2 calls of 4" in capsys.readouterr().out
    for name in ("runs", "seeds", "most_often_wrong"):
        assert told.get(name) == whole.get(name)
    gc.collect()
    command(module, f"{words} --resume".replace("--seeds 3", "--seeds 4"))
    assert capsys.readouterr().out.count("features: 2 members in 1 call") == (module is sweep)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "",
            "sweep: expected values of one or more of --lr, --dropout, --augment-strength, "
            "--momentum",
        ),
        (
            "--rung scratch --lr 1e-3",
            "sweep: rung scratch: base/conv1/kernel trains: convolutions with a kernel",
        ),
        ("--preset critters --momentum 0.9", "sweep: rmsprop has no momentum to vary"),
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
    assert re.search(r"mean \d+\.\d %, 95 % interval \d+\.\d to \d+\.\d % over ", printed)
    wrong = [row["accuracy"] < 1 for row in told["seeds"].values()]
    assert bool(told["most_often_wrong"]) == any(wrong)
