import gc
import json
import sys
from dataclasses import replace

import jax
import pytest

from experiments import multitask
from tljax import config
from tljax.errors import InputError
from tljax.machine import devices
from tljax.models import ops

WORDS = (
    "multitask --data {data} --source {data} --size 32 --width 0.0625 --budget 0.05 --quiet "
    "--workdir {workdir}"
)


@pytest.fixture
def command(photographs, in_a_hurry, tmp_path, monkeypatch):
    """Runs the command on two steps an epoch, on one device, and returns its workdir."""

    def run(extra="", *, data=photographs):
        monkeypatch.setattr(multitask, "TARGET_IMAGES", 8)
        monkeypatch.setattr(multitask, "SOURCE_IMAGES", 24)
        one = devices.mesh(jax.devices()[:1])
        monkeypatch.setattr(devices, "mesh_for", lambda batch_size: one)
        monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(
            sys, "argv", (WORDS.format(data=data, workdir=tmp_path / "run") + extra).split()
        )
        multitask.main()
        return tmp_path / "run"

    return run


@pytest.mark.slow
def test_three_ways_and_what_they_leave(command, capsys, monkeypatch):
    """A table with differences, a picture; a finished run is resumed without training,
    a second one refused.
    """
    workdir = command(" --seeds 1 --task-weight 0.5 2")
    told = json.loads((workdir / "results.json").read_text())
    assert [(row["name"], row["seed"]) for row in told["rungs"]] == [
        ("alone", 0),
        ("sequential", 0),
        ("multitask", 0),
    ]
    assert all(row["validation"]["n"] == 6 for row in told["rungs"])
    alone, _, both = (row["total_params"] for row in told["rungs"])
    assert both - alone == 32 + 1  # the other head: one output of the base's 32 features
    assert {"ladder.png", "report.html", "config.json"} <= {path.name for path in workdir.iterdir()}
    assert not list((workdir / "progress").iterdir())
    out = capsys.readouterr().out
    assert "Differences" in out
    assert "multitask against sequential" in out or "beats" in out
    with pytest.raises(InputError, match="holds a run"):
        command()
    monkeypatch.setattr(multitask.multitask, "run", None)
    monkeypatch.setattr(multitask.multitask, "in_turn", None)
    gc.collect()  # the lock of the first command goes with its workdir
    command(" --seeds 1 --task-weight 0.5 2 --resume")
    assert json.loads((workdir / "results.json").read_text()) == told


def test_each_way_draws_as_many_images(monkeypatch):
    args = multitask._parser().parse_args([])
    stages = {
        way: stage for way, (_, stage) in multitask.stages_of(args, from_weights=False).items()
    }
    drawn = {
        way: stage.epochs * stage.steps_per_epoch(1) * stage.batch_size
        for way, stage in stages.items()
    }
    assert set(drawn.values()) == {multitask.EPOCHS * multitask.TARGET_IMAGES}
    both = stages["multitask"]
    assert both.steps_per_epoch(1) * multitask.SOURCE_BATCH == multitask.SOURCE_IMAGES
    source = replace(stages["sequential"], images_per_epoch=multitask.SOURCE_IMAGES)
    turns = source.steps_per_epoch(1) + stages["sequential"].steps_per_epoch(1)
    assert both.steps_per_epoch(1) == turns  # as many steps, of as many images
    assert len({(stage.optimizer, stage.lr) for stage in stages.values()}) == 1
    later = {way: stage for way, (_, stage) in multitask.stages_of(args, from_weights=True).items()}
    assert later["sequential"].rules == config.rules_of("differential")
    assert ("other/.*", 1.0) in later["multitask"].rules


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (" --task-weight 1 0", "must be a positive number"),
        (" --task-weight 1", "expected 2 arguments"),
    ],
)
def test_task_weights_are_checked(command, capsys, extra, told):
    with pytest.raises(SystemExit):
        command(extra)
    assert told in capsys.readouterr().err


def test_a_source_that_is_not_there_is_named(command, tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        command(data=f"folder:{tmp_path}/nowhere")
