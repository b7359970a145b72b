"""tljax predict: a folder, a pattern and a bad file among good ones, in every form of answer."""

import csv
import io
import json
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from tljax.commands import predict
from tljax.data.preprocess import UNIT
from tljax.models import build
from tljax.models.build import Network
from tljax.train.loop import History
from tljax.train.outcome.collapse import Collapse
from tljax.train.outcome.trained import Trained
from tljax.train.step import State

CLASSES = tuple(f"class {i}" for i in range(12))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A saved classifier that answers class 11 first, then 10, and so on."""
    network = Network(base="cnn", hidden=0, options={"padding": "SAME"})
    module = build.classifier(network, classes=12)
    params = build.init(module, key=jax.random.key(0), size=16)["params"]
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), params)
    params["head"]["predictions"]["bias"] = np.arange(12, dtype=np.float32)
    scores = {"loss": 0.1, "accuracy": 0.9, "n": 4}
    record = {"rung": "t", "seed": 0, "epoch": 1, "step": 1, "train": scores, "validation": scores}
    about = {"classes": CLASSES, "size": 16, "rung": "t", "seed": 0}
    state = State(np.int32(1), params, {}, {})
    trained = Trained(state, History([record]), network, UNIT, 1, 1, **about)
    return trained.save(tmp_path_factory.mktemp("saved") / "run")


@pytest.fixture
def photos(tmp_path):
    """Two photographs and a third that is none."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (9, 9), (200, 100, 50)).save(tmp_path / name)
    (tmp_path / "bad\n.png").write_text("no photograph")
    return tmp_path


@pytest.fixture
def command(run, monkeypatch, capsys):
    """Runs the command; returns its status and what it printed on each stream."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["predict", "--run", str(run), *map(str, words)])
        status = 0
        try:
            predict.main()
        except SystemExit as end:
            status = end.code
        printed = capsys.readouterr()
        return status, printed.out.splitlines(), printed.err.splitlines()

    return command


def test_the_good_are_classified_and_the_bad_named_whatever_their_order(command, photos):
    status, out, err = command(photos / "bad\n.png", photos / "none.png", photos / "a.png")
    assert status == 2
    assert [line.partition(":")[0] for line in out[1:]] == [str(photos / "a.png")]
    assert len(err) == 3
    assert "not a photograph of JPEG" in err[0]
    assert "none.png: expected a readable photograph" in err[1]
    assert err[2] == "error: 2 could not be read, named above"
    assert command(photos / "a.png")[0] == 0


@pytest.mark.parametrize("given", ["", "*.png"])
def test_a_folder_and_a_pattern_are_all_their_photographs(command, photos, given):
    (photos / "bad\n.png").unlink()
    status, out, err = command(photos / given)
    assert (status, err) == (0, [])
    assert [line.partition(":")[0] for line in out[1:]] == [
        str(photos / name) for name in ("a.png", "b.png")
    ]


def test_five_classes_are_named_and_top_says_how_many(command, photos):
    line = command(photos / "a.png")[1][1]
    assert line.count("class ") == 5
    assert line.partition(": ")[2].startswith("class 11 63.2 %, class 10 23.3 %, ")
    assert command(photos / "a.png", "--top", 2)[1][1].count("class ") == 2


def test_csv_and_json_lines_and_json(command, photos):
    names = [str(photos / name) for name in ("a.png", "b.png")]
    rows = list(csv.DictReader(io.StringIO("\n".join(command(*names, "--format", "csv")[1]))))
    assert [row["file"] for row in rows] == names
    assert rows[0]["class_2"] == "class 10"
    assert float(rows[0]["probability"]) == pytest.approx(0.6321, abs=1e-4)
    lines = [json.loads(line) for line in command(*names, "--format", "jsonl")[1]]
    assert [line["file"] for line in lines] == names
    assert list(lines[0]["classes"])[:2] == ["class 11", "class 10"]
    whole = json.loads("\n".join(command(*names, "--json")[1]))
    assert list(whole) == names
    assert sum(whole[names[0]].values()) == pytest.approx(1)


def test_a_rung_that_learnt_nothing_says_so_beside_its_answers(run, command, photos):
    found = Collapse(True, True, 1, 0.7, 0.7, 0.5, 0.5, 1e-5, 2, 0)
    path = run / "results.json"
    whole = path.read_text()
    document = json.loads(whole)
    document["rungs"][0]["collapsed"] = found.to_dict(stage="t", seed=0)
    path.write_text(json.dumps(document))
    try:
        status, out, err = command(photos / "a.png", "--json")
    finally:
        path.write_text(whole)
    assert status == 0
    assert json.loads("\n".join(out))
    assert err == [f"warning: {found.line(stage='t', seed=0)}"]
