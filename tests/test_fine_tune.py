"""One call: photographs and a base in, a classifier out that is used, saved and loaded."""

import numpy as np
import pytest

import tljax
from tljax.models import ops, vgg
from tljax.tasks.classification import two_sided

WIDTH = 1 / 16
LABELS = np.array([0, 1] * 20)


@pytest.fixture
def sets():
    """Dark and bright noise."""
    noise = np.random.default_rng(0).integers(0, 200, (40, 32, 32, 3))
    images = (noise + 50 * LABELS[:, None, None, None]).astype(np.uint8)
    return tljax.from_arrays(images, LABELS, ("dark", "bright"), validation=0.2)


@pytest.fixture
def base():
    rng, params, before = np.random.default_rng(1), {}, 3
    for layer in vgg.CONVS:
        after = vgg.channels(layer, WIDTH)
        kernel = rng.normal(0, (2 / (9 * before)) ** 0.5, (3, 3, before, after)).astype(np.float32)
        params[layer] = {"kernel": kernel, "bias": np.zeros(after, np.float32)}
        before = after
    preprocess = tljax.Preprocess(scale=1 / 255)
    return tljax.Weights(params, {"name": "vgg16", "width": WIDTH}, preprocess, (), {})


def test_fine_tune_gives_a_classifier(sets, base, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
    trained = tljax.fine_tune(sets, base, epochs=1, seed=3, progress=False)
    assert isinstance(trained, tljax.Trained)
    assert (trained.classes, trained.size) == (("dark", "bright"), 32)
    assert (trained.rung, trained.seed, trained.data) == ("whole", 3, sets.digest)
    assert trained.stage["batch_size"] == 32
    last = trained.history.result()["validation"]
    assert trained.scores["validation"] == pytest.approx(last, abs=1e-5)

    said = trained.predict(sets.validation.images)
    logits = two_sided(trained.logits["validation"]).astype(np.float64)
    likely = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(said.probabilities, likely, atol=1e-5)
    labels = [sets.classes[i] for i in sets.validation.labels]
    right = [label == name for (label, _), name in zip(said.top(), labels, strict=True)]
    assert np.mean(right) == trained.scores["validation"]["accuracy"]

    loaded = tljax.load_run(trained.save(tmp_path / "mine"))
    np.testing.assert_array_equal(loaded(sets.validation.images), said.probabilities)
    assert loaded.scores == trained.scores
    assert [r["epoch"] for r in loaded.history.epochs] == [0, 1]
