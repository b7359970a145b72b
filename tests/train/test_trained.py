"""A trained classifier: what it says, its picture, and the folder that it is saved to."""

import json
import math
import pathlib
from dataclasses import asdict, replace

import jax
import numpy as np
import pytest
from PIL import Image

from tljax.data.augment import Augment, augment_batch
from tljax.data.draws import augment_keys
from tljax.data.preprocess import CAFFE, UNIT
from tljax.errors import InputError
from tljax.files import orbax_store
from tljax.linear.logistic import Solution
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.runs.predict import load_run
from tljax.tasks.classification import two_sided
from tljax.train.loop import History
from tljax.train.outcome import saved
from tljax.train.outcome.alarms import Alarm
from tljax.train.outcome.collapse import Collapse
from tljax.train.outcome.prediction import Prediction
from tljax.train.outcome.trained import Trained
from tljax.train.step import State

SIZE = 32
IMAGES = np.random.default_rng(0).integers(0, 256, (35, SIZE, SIZE, 3)).astype(np.uint8)
NETWORKS = {
    "cnn, three classes": (
        Network(base="cnn", hidden=4, options={"padding": "SAME"}),
        ("ant", "bee", "cat"),
    ),
    "vgg16, two classes": (Network(hidden=0, options={"width": 1 / 64}), ("ant", "bee")),
    "vgg16 with norm": (Network(hidden=0, options={"width": 1 / 64, "norm": True}), ("ant", "bee")),
}
COLLAPSE = Collapse(False, True, 2, 0.69, 0.69, 0.5, 0.9, 1e-3, 3, 1)
SOLUTION = Solution(0.1, 2.0, 3, (0.1, 1.0), (0.75, 0.5), (0.4, 0.6), (0.1, 0.2))
ALARM = Alarm("at chance", 0.5, 0.5, 0.6, 4, 0.7, 0.69, 0.2)


def record(epoch, accuracy):
    measured = {"loss": 0.1 * epoch, "accuracy": accuracy, "n": 4}
    unknown = {"loss": math.nan, "accuracy": math.nan}
    start = {
        "rung": "tiny",
        "seed": 5,
        "epoch": epoch,
        "step": 10 * epoch,
        "rates": {"head/.*": 0.1},
    }
    return {**start, "train": measured if epoch else unknown, "validation": measured}


@pytest.fixture(scope="module", params=NETWORKS)
def variables(request):
    """The network, its classes and random parameters, and statistics of something trained."""
    network, classes = NETWORKS[request.param]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        module = build.classifier(network, classes=len(classes))
        made = build.init(module, key=jax.random.key(1), size=SIZE)
    rng = np.random.default_rng(2)
    made = jax.tree.map(np.asarray, made)
    statistics = {name: tree for name, tree in made.items() if name != "params"}
    moved = jax.tree.map(lambda leaf: leaf + rng.random(leaf.shape).astype(leaf.dtype), statistics)
    return network, classes, made["params"], moved


@pytest.fixture
def trained(variables):
    network, classes, params, statistics = variables
    history = History([record(0, 0.25), record(1, 0.75), record(2, 0.5)], kept=1, seconds=3.0)
    state = State(np.int32(20), params, statistics, {"momentum": {"x": np.ones(3, np.float32)}})
    about = {"classes": classes, "size": SIZE, "rung": "tiny", "seed": 5, "data": "d" * 64}
    scores = {
        "validation": {"accuracy": 0.75, "loss": 0.1, "n": 4},
        "test": {"accuracy": 0.5, "loss": 0.2, "n": 2},
    }
    return Trained(state, history, network, CAFFE, 3, 7, scores=scores, stage={"lr": 0.1}, **about)


def by_hand(variables, images):
    network, classes, params, statistics = variables
    module = build.classifier(network, classes=len(classes))
    logits, _ = module.apply({"params": params, **statistics}, CAFFE(images))
    logits = np.asarray(logits, np.float64)
    if logits.shape[1] == 1:
        return np.concatenate([1 / (1 + np.exp(logits)), 1 / (1 + np.exp(-logits))], axis=1)
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def test_probabilities_are_those_of_the_network_with_its_statistics(trained, variables):
    said = trained.predict(IMAGES)  # more than a batch
    np.testing.assert_allclose(said.probabilities, by_hand(variables, IMAGES), rtol=1e-4, atol=1e-6)
    assert said.probabilities.dtype == np.float32
    assert (len(said), said.names[:2], said.classes) == (35, ("0", "1"), trained.classes)
    for (name, p), row in zip(said.top(), said.probabilities, strict=True):
        assert (name, p) == (trained.classes[row.argmax()], row.max())


def test_what_is_saved_is_loaded_whole(trained, tmp_path):
    folder = trained.save(tmp_path / "mine")
    assert folder == tmp_path / "mine"
    loaded = load_run(str(folder))
    np.testing.assert_array_equal(loaded(IMAGES), trained(IMAGES))
    for name in (
        "classes",
        "size",
        "rung",
        "seed",
        "scores",
        "stage",
        "data",
        "network",
        "preprocess",
    ):
        assert getattr(loaded, name) == getattr(trained, name), name
    assert repr(vars(loaded.history)) == repr(vars(trained.history))  # NaN is not equal to NaN
    assert loaded.history.result()["epoch"] == 1
    assert (loaded.trainable_params, loaded.total_params) == (3, 7)
    assert "tiny, seed 5: ant, bee" in repr(loaded)
    assert "validation 75.0 % of 4; test 50.0 % of 2" in repr(loaded)
    assert jax.tree.leaves(loaded.state.opt_state) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def test_what_is_shown_of_it_is_short_in_text_and_a_table_in_a_notebook(trained):
    assert len(repr(trained)) < 200
    assert repr(trained.history) == (
        "History(2 epochs, back to epoch 1: validation loss 0.100, accuracy 75.0 %)"
    )
    html = trained._repr_html_()
    assert html.count("<tr>") == 1 + len(trained.history.epochs)
    assert "<td>75.0 %</td>" in html
    many = replace(trained, classes=tuple(f"class {i}" for i in range(400)))
    assert "400 classes" in repr(many)


def test_a_picture_is_drawn_of_the_history(trained, tmp_path):
    path = trained.plot(tmp_path / "curves.png")
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 400
    drawn = path.read_bytes()
    loaded = load_run(trained.save(tmp_path / "mine"))
    assert loaded.plot(str(tmp_path / "again.png")).read_bytes() == drawn
    fewer = replace(trained, history=History(trained.history.epochs[:2]))
    assert fewer.plot(path).read_bytes() != drawn


@pytest.fixture(scope="module")
def simple():
    """Answers bee with a probability of 0.75, whatever the picture, by its averages."""
    network = Network(base="cnn", hidden=0, options={"padding": "SAME"})
    module = build.classifier(network, classes=2)
    params = build.init(module, key=jax.random.key(0), size=16)["params"]
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), params)
    averages = {"head/predictions/bias": np.float32([math.log(3)])}
    about = {"classes": ("ant", "bee"), "size": 16, "rung": "tiny", "seed": 5}
    state = State(np.int32(4), params, {}, {}, averages)
    return Trained(state, History([record(1, 0.75)]), network, UNIT, 1, 1, **about)


def photo(path, size=(9, 7)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 100, 50)).save(path)
    return path


def test_files_and_folders_are_classified(simple, tmp_path):
    one, two = photo(tmp_path / "b" / "x.png"), photo(tmp_path / "a.jpg")
    photo(tmp_path / "b" / "deep" / "y.png")
    (tmp_path / "notes.txt").write_text("no photograph")
    (tmp_path / ".hidden").mkdir()
    photo(tmp_path / ".hidden" / "z.png")
    found = simple.predict(tmp_path)
    names = ("a.jpg", "b/x.png", "b/deep/y.png")
    assert found.names == tuple(str(tmp_path / name) for name in names)
    np.testing.assert_allclose(found.probabilities, [[0.25, 0.75]] * 3, rtol=1e-6)
    assert found.top() == [("bee", pytest.approx(0.75))] * 3
    assert str(found).splitlines()[0] == f"{two}: bee 75.0 %, ant 25.0 %"
    assert simple.predict([two, str(one)]).names == (str(two), str(one))
    assert simple.predict(str(one)).names == (str(one),)
    assert simple([one] * 33).shape == (33, 2)
    assert simple([]).shape == (0, 2)


def test_one_photograph_in_every_form_is_the_same_photograph(trained, tmp_path):
    """A path, a text, a pattern, a Pillow image, an array, and a list of all of them."""
    pixels = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = tmp_path / "a [1].png"
    Image.fromarray(pixels).save(path)
    with Image.open(path) as opened:
        forms = [
            path,
            str(path),
            str(tmp_path / "*.png"),
            opened,
            pixels,
            jax.numpy.asarray(pixels),
        ]
        expected = trained(path)
        assert expected.shape == (1, len(trained.classes))
        for form in forms:
            np.testing.assert_array_equal(trained(form), expected)
        np.testing.assert_array_equal(trained(forms), np.repeat(expected, 6, axis=0))


def test_a_bad_file_among_many_is_left_out_with_the_reason(simple, tmp_path):
    good = [photo(tmp_path / f"{i}.png") for i in range(70)]
    for i in (0, 40):
        good[i].write_text("no photograph")
    found = simple.predict(tmp_path, skip_unread=True)
    bad = {str(good[0]), str(good[40])}
    assert set(found.names) == set(map(str, good)) - bad
    assert set(found.unread) == bad
    assert all("not a photograph of JPEG, PNG" in why for why in found.unread.values())
    assert found.probabilities.shape == (68, 2)
    with pytest.raises(InputError, match="not a photograph of"):
        simple.predict(tmp_path)


def test_a_prediction_is_written_as_text_csv_and_json():
    likely = np.float32([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]])
    said = Prediction(("a, b.png", "c.png"), ("ant", "bee", "cat"), likely)
    assert said.lines(2) == ["a, b.png: bee 70.0 %, cat 20.0 %", "c.png: ant 50.0 %, bee 25.0 %"]
    assert said.csv_lines(2) == [
        "file,class,probability,class_2,probability_2",
        '"a, b.png",bee,0.700000,cat,0.200000',
        "c.png,ant,0.500000,bee,0.250000",
    ]
    (_, p), (_, q) = said.top()
    assert [json.loads(line) for line in said.json_lines(1)] == [
        {"file": "a, b.png", "class": "bee", "probability": p, "classes": {"bee": p}},
        {"file": "c.png", "class": "ant", "probability": q, "classes": {"ant": q}},
    ]
    assert list(json.loads(said.json_lines()[0])["classes"]) == ["bee", "cat", "ant"]
    many = Prediction(("x",), tuple(f"class {i}" for i in range(400)), np.full((1, 400), 1 / 400))
    assert len(str(many)) < 120
    assert repr(many) == "Prediction(1 examples, 400 classes)"


def test_averages_are_what_is_saved(simple, tmp_path):
    loaded = load_run(simple.save(tmp_path / "mine"))
    assert loaded.state.ema == {}
    np.testing.assert_allclose(loaded(IMAGES[:1, :16, :16]), [[0.25, 0.75]], rtol=1e-6)


def test_what_is_no_photograph_is_named(simple, tmp_path):
    cases = {
        "expected images uint8 [N, 16, 16, 3], found uint8 (35, 32, 32, 3)": IMAGES,
        "found float64 (1, 16, 16, 3)": np.zeros((1, 16, 16, 3)),
        "expected photographs (.jpg .jpeg .jfif .png .webp .bmp .gif .tif": tmp_path,
        "missing.png: expected a readable photograph: No such file": tmp_path / "missing.png",
        "expected photographs of that pattern, found none": str(tmp_path / "*.png"),
        "predict: image 0: expected uint8 [H, W, 3], found float32 (9, 9, 3)": np.zeros(
            (9, 9, 3), np.float32
        ),
        "expected paths, Pillow images or arrays, found float": [0.5],
    }
    for message, given in cases.items():
        with pytest.raises(InputError) as refused:
            simple.predict(given)
        assert message in str(refused.value)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "up").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(InputError, match="up: a link to a folder"):
        simple.predict(tmp_path)


def test_a_folder_of_something_else_is_left_alone(simple, tmp_path):
    mine = simple.save(tmp_path / "mine")
    other, run = tmp_path / "thesis", tmp_path / "run"
    other.mkdir()
    simple.save(other)  # empty
    (other / "chapter.tex").write_text("mine")
    run.mkdir()
    (run / "results.json").write_text(json.dumps({"data": {}, "rungs": []}))
    file = tmp_path / "file"
    file.write_text("mine")
    for folder, found in ((other, "chapter.tex"), (run, "results.json"), (file, "a file")):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        with pytest.raises(InputError, match=f"{folder.name}: expected .*, found {found}"):
            simple.save(folder)
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    again = replace(simple, rung="other")
    assert again.save(mine) == mine
    assert load_run(mine).rung == "other"
    assert sorted(path.name for path in (mine / "checkpoints").iterdir()) == ["other-seed5"]
    with pytest.raises(InputError, match="the name of a rung without slashes, found 'a/b-seed5'"):
        replace(simple, rung="a/b").save(tmp_path / "new")


@pytest.mark.parametrize("broken", ["save", "write_json", "rename"])
def test_a_save_that_fails_leaves_what_was_there(simple, tmp_path, monkeypatch, broken):
    mine = simple.save(tmp_path / "mine")
    files = {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()}
    room = {"save": orbax_store, "write_json": saved.disk, "rename": saved.os}[broken]
    whole = getattr(room, broken)

    def fails(source, *args, **given):
        if broken == "rename" and pathlib.Path(source).suffix != ".part":
            return whole(source, *args, **given)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room, broken, fails)
    with pytest.raises((OSError, InputError), match="No space left on device"):
        replace(simple, rung="other").save(mine)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()} == files
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_was_found_out_about_it_is_kept(simple, tmp_path):
    history = replace(simple.history, collapsed=COLLAPSE)
    told = {"alarm": ALARM, "solution": SOLUTION}
    loaded = load_run(replace(simple, history=history, **told).save(tmp_path / "mine"))
    again = load_run(loaded.save(tmp_path / "again"))
    for found in (loaded, again):
        kept = found.history.collapsed, found.alarm, found.solution
        assert kept == (COLLAPSE, ALARM, SOLUTION)


def test_what_has_no_history_says_so(simple, tmp_path):
    bare = replace(simple, history=History())
    for wanted in (bare.plot, bare.save):
        with pytest.raises(InputError, match="tiny was restored from a checkpoint"):
            wanted(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_views_are_counted_and_their_logits_averaged(trained):
    """View k is the warp of pass k and example 0 of training, in whatever batch it is."""
    augment = Augment(rotation_deg=20.0, zoom=0.1)
    one = replace(trained, stage={"augment": asdict(augment)})
    rows = []
    for view in range(3):
        keys = augment_keys(np.full(4, view), np.zeros(4, np.int32))
        warped = augment_batch(IMAGES[:4], keys=keys, ranges=augment)
        rows.append(two_sided(np.asarray(one.net.run(warped, one.net.params)[0])))
    expected = jax.nn.softmax(np.mean(rows, axis=0), axis=-1)
    found = one.predict(IMAGES, views=3).probabilities
    np.testing.assert_allclose(found[:4], expected, atol=1e-5)
    np.testing.assert_array_equal(one.predict(IMAGES[3:4], views=3).probabilities, found[3:4])
    if one.network.options == {"width": 1 / 64}:  # the others are sure of everything
        assert np.abs(one.predict(IMAGES[:4]).probabilities - found[:4]).max() > 1e-6
    with pytest.raises(InputError, match="views: expected 0 or more, found -1"):
        one.predict(IMAGES, views=-1)
