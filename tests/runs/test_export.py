"""Exported classifiers give the probabilities of the classifier itself, for each photograph."""

import json
import sys

import jax
import numpy as np
import pytest

from tljax.data.preprocess import CAFFE, HALF, TORCH, UNIT
from tljax.data.text import vocabulary
from tljax.errors import InputError
from tljax.models import build
from tljax.models.build import Network
from tljax.runs.export import export
from tljax.tasks.text import TEXT
from tljax.train.loop import History
from tljax.train.outcome.trained import Trained
from tljax.train.step import State

SIZE = 32
IMAGES = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3)).astype(np.uint8)
VGG = {"width": 1 / 64}
TWO, THREE = ("ant", "bee"), ("ant", "bee", "cat")
NETWORKS = {
    "cnn": (Network(base="cnn", hidden=4, options={"padding": "SAME"}), THREE, UNIT),
    "vgg16": (Network(hidden=5, options=VGG, feature_norm=True), TWO, CAFFE),
    "vgg16 with norm": (Network(hidden=0, options={**VGG, "norm": True}), THREE, TORCH),
    "resnet18": (Network(base="resnet18", hidden=0), TWO, TORCH),
    "vit-small": (Network(base="vit-small", hidden=0), TWO, HALF),
    "efficientnet-lite0": (Network(base="efficientnet-lite0", hidden=0), THREE, HALF),
}
SLOW = ("resnet18", "vit-small", "efficientnet-lite0")  # to compile


def trained(name: str) -> Trained:
    """Random parameters, and statistics of something trained."""
    network, classes, preprocess = NETWORKS[name]
    module = build.classifier(network, classes=len(classes))
    variables = build.init(module, key=jax.random.key(3), size=SIZE)
    rng = np.random.default_rng(1)
    params = variables.pop("params")

    def drawn(path, leaf):
        if path[-1].key in ("scale", "var"):
            return rng.uniform(0.5, 1, leaf.shape).astype(np.float32)
        return np.array(leaf)

    params, spread = (jax.tree_util.tree_map_with_path(drawn, x) for x in (params, variables))
    scores = {"loss": 0.1, "accuracy": 0.9, "n": 4}
    record = {"rung": "t", "seed": 3, "epoch": 1, "step": 1, "train": scores, "validation": scores}
    about = {"classes": classes, "size": SIZE, "rung": "t", "seed": 3}
    state = State(np.int32(1), params, spread, {})
    made = Trained(state, History([record]), network, preprocess, 1, 1, **about)
    logits = made.net.run(IMAGES, params)[0]  # random networks hardly tell photographs apart
    last = params["head"]["predictions"]
    last["kernel"] /= np.std(logits, axis=0)
    last["bias"] -= np.mean(logits, axis=0) / np.std(logits, axis=0)
    return Trained(state, History([record]), network, preprocess, 1, 1, **about)


def same(found, classifier):
    expected = classifier(IMAGES)
    assert np.ptp(expected, axis=0).max() > 0.1  # the photographs differ
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in NETWORKS],
)
def test_stablehlo_of_every_kind_of_base(name, tmp_path):
    classifier = trained(name)
    path, about = export(classifier, tmp_path / "x.stablehlo")
    program = jax.export.deserialize(path.read_bytes())
    assert program.platforms == ("cpu", "cuda", "tpu")
    (images,) = program.in_avals
    assert str(images.shape) == f"(N, {SIZE}, {SIZE}, 3)"
    same(np.asarray(program.call(IMAGES)), classifier)
    assert program.call(IMAGES[:1]).shape == (1, len(classifier.classes))
    written = json.loads(about.read_text())
    assert (written["classes"], written["size"]) == (list(classifier.classes), SIZE)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own
@pytest.mark.parametrize("name", ["vgg16", "vgg16 with norm"])
def test_keras_by_its_own_layers(name, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    classifier = trained(name)
    path, _ = export(classifier, tmp_path / "x.keras", to="keras")
    model = keras.models.load_model(path)
    assert not [layer for layer in model.layers if not type(layer).__module__.startswith("keras.")]
    same(np.asarray(model(IMAGES)), classifier)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.keras", "x.keras.json"]


NOT_IN_ONNX = {"resnet18": "Unsupported pooling size", "vit-small": "antialias"}


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_by_its_runtime(name, tmp_path):
    pytest.importorskip("jax2onnx")
    runtime = pytest.importorskip("onnxruntime")
    classifier = trained(name)
    if name in NOT_IN_ONNX:
        with pytest.raises(InputError, match=f"ONNX has no {name} yet: .*{NOT_IN_ONNX[name]}"):
            export(classifier, tmp_path / "x.onnx", to="onnx")
        assert list(tmp_path.iterdir()) == []
        return
    path, _ = export(classifier, tmp_path / "x.onnx", to="onnx")
    session = runtime.InferenceSession(path)
    (images,), (output,) = session.get_inputs(), session.get_outputs()
    assert (images.name, images.type, images.shape[1:]) == (
        "images",
        "tensor(uint8)",
        [SIZE, SIZE, 3],
    )
    same(session.run([output.name], {"images": IMAGES})[0], classifier)


TOKENS = 12
VOCABULARY = vocabulary.trained(["the cat sat on the mat", "a dog ran up the hill"], size=280)
OF_TEXTS = {
    "bag": {},
    "causal": {"width": 32, "positions": TOKENS},
    "minilm-l6": {"positions": TOKENS},
}


def of_texts(base: str) -> Trained:
    options = {"vocabulary": VOCABULARY.size, **OF_TEXTS[base]}
    network = Network(base=base, hidden=0, options=options)
    module = build.classifier(network, classes=2, task=TEXT)
    like = jax.ShapeDtypeStruct((1, TOKENS), np.int32)
    params = build.init_like(module, key=jax.random.key(3), like=like).pop("params")
    about = {"classes": TWO, "size": TOKENS, "rung": "t", "seed": 3, "task": TEXT}
    history = History([{"rung": "t", "seed": 3, "epoch": 1, "step": 1}])
    state = State(np.int32(1), params, {}, {})
    return Trained(state, history, network, VOCABULARY, 1, 1, **about)


@pytest.mark.parametrize(
    "base",
    [pytest.param(base, marks=[pytest.mark.slow] if base != "bag" else []) for base in OF_TEXTS],
)
def test_a_classifier_of_texts_takes_tokens(base, tmp_path):
    classifier = of_texts(base)
    path, about, words = export(classifier, tmp_path / "x.stablehlo")
    texts = ["the cat ran", "a hill", "the dog sat on the cat up on the hill, the dog on the mat"]
    known = vocabulary.read(words.read_text(), where="x")
    tokens = known.padded(known.encode(texts), length=json.loads(about.read_text())["size"])
    program = jax.export.deserialize(path.read_bytes())
    assert str(program.in_avals[0]) == f"int32[N,{TOKENS}]"
    found, expected = np.asarray(program.call(tokens)), classifier(texts)
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    for to in ("onnx", "keras"):
        with pytest.raises(InputError, match=f"--to {to}: expected photographs, found texts"):
            export(classifier, tmp_path / "y", to=to)
    assert len(list(tmp_path.iterdir())) == 3


def test_what_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="Keras has layers for vgg16 only, found cnn"):
        export(trained("cnn"), tmp_path / "x.keras", to="keras")
    with pytest.raises(InputError, match="expected one of stablehlo, keras, onnx, found 'onx'"):
        export(trained("cnn"), tmp_path / "x", to="onx")
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(InputError, match="package jax2onnx: pip install"):
        export(trained("cnn"), tmp_path / "x.onnx", to="onnx")
    assert list(tmp_path.iterdir()) == []
