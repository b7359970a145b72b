"""Both commands on a run of one rung, as a user types them."""

import json
import sys
from dataclasses import replace

import flax.linen as nn
import numpy as np
import pytest

from tljax import config
from tljax.commands import inside, runner, transferability
from tljax.commands.climb.rung import named
from tljax.data import ImageSet, ImageSets
from tljax.data.preprocess import Preprocess
from tljax.errors import InputError
from tljax.models import ops
from tljax.report.pictures import style

PICTURES = (
    "gradcam",
    "top_losses",
    "augmented",
    "filters",
    "activations",
    "neighbours",
    "patches",
    "maximised",
)


@pytest.fixture(scope="module")
def run(photographs, base, in_a_hurry, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inside")
    short = {"epochs": 1, "images_per_epoch": 6, "batch_size": 3, "views": 1}
    words = f"x --data {photographs} --size 32 --weights {base} --quiet --workdir {folder / 'run'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(ops, "compiler_options", in_a_hurry)
        patch.setitem(
            config.PRESETS, "tuned", {"frozen": replace(config.PRESETS["tuned"]["frozen"], **short)}
        )
        patch.setattr(sys, "argv", words.split())
        runner.main("", experiment="x", rungs=named(["frozen"]))
        yield folder / "run"


@pytest.mark.slow
def test_pictures_of_a_run(run, photographs, monkeypatch, capsys):
    monkeypatch.setattr(style, "DPI", 40)
    photo = f"{photographs.removeprefix('folder:')}/validation/cat/cat.0.png"
    monkeypatch.setattr(sys, "argv", f"inside --run {run} --rung frozen --quiet {photo}".split())
    inside.main()
    folder = run / "inside" / "frozen-seed0"
    assert capsys.readouterr().out.strip() == str(folder / "inside.html")
    assert "Still being drawn" not in (folder / "inside.html").read_text()
    assert all((folder / f"{name}.png").is_file() for name in PICTURES)


def test_photographs_that_have_changed_are_refused(run, tmp_path):
    config = json.loads((run / "config.json").read_text())
    config["data"]["digest"] = "0" * 64
    with pytest.raises(
        InputError, match=r"config\.json: expected the photographs of the run, found that folder:"
    ):
        inside.data_of(config, size=32, where=run / "config.json", progress=False)


class _Unsorted(nn.Module):
    """A base whose first layer is the last by name."""

    @nn.compact
    def __call__(self, images):
        first = images + 1.0
        return first, {"stem": first, "stage1": 2.0 * first}


def test_layers_are_scored_in_their_order_not_by_name():
    images = np.zeros((3, 4, 4, 3), np.uint8)
    part = ImageSet(images, np.array([0, 1, 0], np.int32), ("a", "b", "c"))
    sets = ImageSets("s", ("x", "y"), part, part, digest="0" * 64)
    found = transferability.features(_Unsorted(), {}, Preprocess(), sets, layers=("stem", "stage1"))
    assert list(found) == ["stem", "stage1"]
    assert [rows.mean() for rows in found.values()] == [1.0, 2.0]


def test_the_table_before_training(run, photographs, base, monkeypatch, capsys, tmp_path):
    words = (
        f"transferability --data {photographs} --size 32 --weights {base} --run {run} --quiet "
        f"--workdir {tmp_path}"
    )
    monkeypatch.setattr(sys, "argv", words.split())
    transferability.main()
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == [
        "after",
        "LogME",
        "H-score",
        "CKA",
        "with",
        "classes",
        "CKA",
        "with",
        "frozen",
    ]
    told = json.loads((tmp_path / "transferability.json").read_text())
    assert list(told["scores"]) == [f"block{i}_pool" for i in range(1, 6)]
    # The base was frozen: it is still the one that was given.
    assert all(row["CKA with frozen"] == pytest.approx(1) for row in told["scores"].values())
    assert told["suggestion"] in out
    assert (tmp_path / "transferability.png").is_file()
    with pytest.raises(
        InputError,
        match=r"holds transferability\.json; name another --workdir, or pass --overwrite",
    ):
        transferability.main()
