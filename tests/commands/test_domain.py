import gc
import json
import shutil
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest

from experiments import domain
from tljax import config
from tljax.errors import InputError
from tljax.machine import devices
from tljax.models import ops

WORDS = "domain --data {data} --size 32 --weights {base} --quiet --keep-going --workdir {workdir}"
WAYS = ["source only", "CORAL", "fine-tuned"]


@pytest.fixture
def command(photographs, in_a_hurry, tmp_path, monkeypatch):
    """Runs the command on stages of two steps, on one device, and returns its workdir."""

    def run(extra, *, base=tmp_path / "base.safetensors"):
        stage = config.PRESETS["tuned"]["differential"]
        short = replace(stage, epochs=1, images_per_epoch=6, batch_size=3)
        monkeypatch.setitem(
            config.PRESETS, "tuned", config.PRESETS["tuned"] | {"differential": short}
        )
        one = devices.mesh(jax.devices()[:1])
        monkeypatch.setattr(devices, "mesh_for", lambda batch_size: one)
        monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        words = WORDS.format(data=photographs, base=base, workdir=tmp_path / "run") + extra
        monkeypatch.setattr(sys, "argv", words.split())
        domain.main()
        return tmp_path / "run"

    return run


def logits(folder, way):
    with np.load(folder / "predictions" / f"{way}-seed0.npz") as file:
        return file["logits"]


@pytest.mark.slow
def test_three_ways_to_two_corruptions(command, base, capsys, monkeypatch):
    workdir = command(" --corrupt noise contrast --severity 5", base=base)
    told = json.loads((workdir / "results.json").read_text())
    assert list(told["targets"]) == ["noise", "contrast"]
    for name, target in told["targets"].items():
        assert [row["name"] for row in target["rungs"]] == WAYS
        assert [row["validation"]["n"] for row in target["rungs"]] == [6, 6, 6]
        assert target["data"]["source"].endswith(f"with {name} 5")
        assert len(target["differences"]) == 3  # two pairs, and what they rest on
        assert (workdir / name / "report.html").exists()
    assert [row["name"] for row in told["source"]["rungs"]] == ["source only"]
    assert (workdir / "domain.png").exists()
    # One classifier of the source, seen on each target.
    seen = [logits(workdir / name, "source only") for name in ("source", "noise", "contrast")]
    assert not np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[1], seen[2])
    assert not np.array_equal(
        logits(workdir / "noise", "source only"), logits(workdir / "noise", "CORAL")
    )
    lines = (workdir / "noise" / "metrics.jsonl").read_text().splitlines()
    records = {record["rung"]: record for record in map(json.loads, lines)}
    assert records["CORAL"]["train"]["coral"] > 0
    assert capsys.readouterr().out.count("fine-tuned") >= 2

    # A run that stopped between two targets goes on from the classifier that it saved.
    shutil.rmtree(workdir / "contrast")
    monkeypatch.setattr(
        domain.adapt.loop, "train_stage", counted := Counted(domain.adapt.loop.train_stage)
    )
    gc.collect()  # the lock of the first command goes with its workdir
    command(" --corrupt noise contrast --severity 5 --resume", base=base)
    assert counted.stages == ["CORAL", "fine-tuned"]
    np.testing.assert_allclose(logits(workdir / "contrast", "source only"), seen[2], atol=1e-5)
    again = json.loads((workdir / "results.json").read_text())
    assert again["targets"]["contrast"]["rungs"][0]["validation"] == pytest.approx(
        told["targets"]["contrast"]["rungs"][0]["validation"]
    )


class Counted:
    """A stage's training, with the names of the stages that it was called for."""

    def __init__(self, train):
        self.train, self.stages = train, []

    def __call__(self, stage, **options):
        self.stages.append(stage.name)
        return self.train(stage, **options)


@pytest.mark.parametrize("extra", ["", " --corrupt noise --target critters"])
def test_one_kind_of_target_is_asked_for(command, extra, tmp_path):
    with pytest.raises(InputError, match="either --target SOURCE or --corrupt NAMES"):
        command(extra)
    assert not (tmp_path / "run").exists()


def test_an_unknown_corruption_is_refused(command, capsys):
    with pytest.raises(SystemExit):
        command(" --corrupt fog")
    assert "invalid choice: 'fog'" in capsys.readouterr().err
