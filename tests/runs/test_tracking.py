"""What the trackers were told, read back from what they wrote."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tljax.errors import InputError
from tljax.runs import tracking

ROOT = Path(__file__).resolve().parents[2]
RECORD = {
    "rung": "frozen",
    "seed": 3,
    "epoch": 1,
    "step": 50,
    "train": {"loss": 0.5, "accuracy": 0.75},
    "validation": {"loss": 0.625, "accuracy": 0.25, "n": 4},
    "rates": {"head/.*": 0.0078125, "base/block5_.*": 0.00390625},
    "grad_norm": 2.0,
    "images_per_second": 96.0,
    "seconds": 1.5,
}
SCALARS = {
    "loss/train": 0.5,
    "loss/validation": 0.625,
    "accuracy/train": 0.75,
    "accuracy/validation": 0.25,
    "rate/head/.*": 0.0078125,
    "rate/base/block5_.*": 0.00390625,
    "grad_norm": 2.0,
    "images_per_second": 96.0,
}
LATER = RECORD | {"epoch": 2, "step": 100, "grad_norm": 4.0}


def test_a_record_is_scalars():
    assert tracking.scalars(RECORD) == SCALARS


def test_of_the_start_only_validation_is_told():
    nothing = {"loss": float("nan"), "accuracy": float("nan")}
    start = {**RECORD, "epoch": 0, "step": 0, "train": nothing, "rates": {}}
    del start["grad_norm"], start["images_per_second"]
    assert tracking.scalars(start) == {"loss/validation": 0.625, "accuracy/validation": 0.25}


def test_tensorboard_reads_what_was_logged(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tell = tracking.TensorBoard(tmp_path)
    for record in (RECORD, LATER, RECORD | {"seed": 4}):
        tell(record)
    tell.close()
    assert sorted(path.name for path in (tmp_path / "tensorboard").iterdir()) == [
        "frozen-seed3",
        "frozen-seed4",
    ]
    read = accumulator.EventAccumulator(str(tmp_path / "tensorboard" / "frozen-seed3"))
    read.Reload()
    assert sorted(read.Tags()["scalars"]) == sorted(SCALARS)
    for tag, value in SCALARS.items():
        events = [(event.step, event.value) for event in read.Scalars(tag)]
        assert events == [(50, value), (100, 4.0 if tag == "grad_norm" else value)]
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_package_is_named_in_a_line(tmp_path, monkeypatch, name):
    for module in [m for m in sys.modules if m.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        InputError, match=rf'--log {name}: .*; pip install -e "\.\[{name}\]" brings'
    ) as caught:
        tracking.TRACKERS[name](tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_wandb_has_what_was_logged_offline(tmp_path):
    """In a process of its own: W&B starts a service that outlives the call."""
    proto = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    (tmp_path / "config.json").write_text('{"base": "abc"}')
    done = in_a_process(
        f"tell = WandB(pathlib.Path({str(tmp_path)!r})); tell({RECORD!r}); tell({LATER!r}); "
        "tell.close()",
        environment={"WANDB_MODE": "offline", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    records = [
        proto.Record.FromString(data)
        for data in logged(next(tmp_path.glob("wandb/offline-run-*/*.wandb")))
    ]
    first, second = (values(record.history.item) for record in records if record.history.item)
    assert {tag: first[tag] for tag in SCALARS} == SCALARS
    assert (first["epoch"], first["_step"], second["epoch"], second["_step"]) == (1, 50, 2, 100)
    assert second["grad_norm"] == 4.0
    run = next(record.run for record in records if record.run.run_id)
    assert (run.display_name, run.run_group, run.job_type) == (
        "frozen-seed3",
        tmp_path.name,
        "frozen",
    )
    told = {each.key: json.loads(each.value_json) for each in run.config.update}
    assert (told["base"], told["rung"], told["seed"]) == ("abc", "frozen", 3)


@pytest.mark.slow
def test_wandb_without_a_key_is_refused_before_training(tmp_path):
    pytest.importorskip("wandb")
    done = in_a_process(
        f"WandB(pathlib.Path({str(tmp_path)!r}))", environment={"HOME": str(tmp_path)}
    )
    assert done.returncode == 1
    assert "InputError: --log wandb: No API key configured" in done.stderr.splitlines()[-1]


def in_a_process(code, *, environment):
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], **environment}
    command = [
        sys.executable,
        "-c",
        f"import pathlib; from tljax.runs.tracking import WandB; {code}",
    ]
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        stdin=subprocess.DEVNULL,
    )


def logged(path):
    """The entries of a file in LevelDB's log format, after W&B's own header; of one block,
    none is cut in two.
    """
    data, at, found = path.read_bytes(), 7, []
    while at < len(data):
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        assert kind == 1
        found.append(data[at + 7 : at + 7 + length])
        at += 7 + length
    assert len(data) <= 32768
    return found


def values(items):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
