import sys

import jax
import pytest

from tljax.commands import pretrain, running
from tljax.config import pretraining
from tljax.data.preprocess import TORCH
from tljax.models import vgg
from tljax.models.build import Network
from tljax.optim.schedules import WarmupCosine
from tljax.weights import read


def test_the_file_holds_a_plain_vgg16_and_where_it_comes_from(base, photographs):
    weights = read(base)
    assert set(weights.params) == set(vgg.CONVS)
    for layer, leaves in weights.params.items():
        assert set(leaves) == {"kernel", "bias"}  # batch normalisation is folded in
        assert leaves["bias"].shape == (vgg.channels(layer, 0.0625),)
    assert weights.architecture == {"name": "vgg16", "width": 0.0625}
    assert weights.preprocess == TORCH
    assert weights.classes == ("cat", "dog")
    told = weights.provenance
    assert (told["data"], told["size"], told["seed"], told["epochs"]) == (photographs, 32, 1, 1)
    assert told["record"]["step"] == 4
    assert told["record"]["validation"]["n"] == 6
    assert told["environment"]["versions"]["jax"] == jax.__version__
    assert [path.name for path in base.parent.iterdir() if path.name != "cache"] == [
        "base.safetensors"
    ]


def test_options_become_the_stage(monkeypatch, tmp_path, photographs):
    """Caught before it trains: rate, batch, epochs and width as asked for,
    all else the preset's.
    """
    caught = {}

    def stop(source, stage, **options):
        caught.update(options, stage=stage, progress=source.progress)
        raise KeyboardInterrupt

    monkeypatch.setattr(pretrain, "pretrain", stop)
    monkeypatch.setitem(running.TRACKERS, "told", lambda workdir: ["listens for", workdir])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    words = (
        f"pretrain --data {photographs} --size 32 --width 0.5 --batch 16 --lr 0.2 --budget 0.5 "
        "--quiet --seed 3"
    )
    monkeypatch.setattr(
        sys, "argv", [*words.split(), "--log", "told", "--out", str(tmp_path / "x.safetensors")]
    )
    with pytest.raises(KeyboardInterrupt):
        pretrain.main()
    stage = caught["stage"]
    assert (stage.lr, stage.batch_size, stage.epochs) == (WarmupCosine(0.2), 16, 5)
    assert (stage.optimizer, stage.augment) == (
        pretraining.IMAGES.optimizer,
        pretraining.IMAGES.augment,
    )
    assert (caught["seed"], caught["progress"]) == (3, False)
    assert caught["network"] == Network(options={"width": 0.5})
    assert caught["out"] == tmp_path / "x.safetensors"
    assert caught["listeners"] == [["listens for", tmp_path]]
