"""A head that reads all layers: a frozen prefix keeps their means, and nothing else changes."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.config import HEAD_ONLY, Stage, rules_of
from tljax.data.preprocess import TORCH
from tljax.data.sets import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.inside.net import Net
from tljax.inside.words import weights as words_of
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.models.classifiers import Kept
from tljax.tasks.language import Language
from tljax.tasks.segmentation import SEGMENTATION
from tljax.train import rung, setup
from tljax.train.source import Source
from tljax.weights import Weights

NETWORK = Network(
    hidden=0, options={"width": 0.0625}, feature_norm=True, layers="all"
)  # 4 to 32 channels a block
STAGE = Stage("s", HEAD_ONLY, lr=1e-3, epochs=1, batch_size=4, views=1)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})


def split(count, seed):
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 2).astype(np.int32)
    images = rng.integers(0, 100, (count, 32, 32, 3), np.uint8) + 100 * labels[:, None, None, None]
    return ImageSet(images.astype(np.uint8), labels, tuple(map(str, range(count))))


SETS = ImageSets("test", ("a", "b"), split(12, 0), split(6, 1), "0" * 64)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    module = build.classifier(NETWORK, classes=2)
    variables = build.init_like(module, key=jax.random.key(5), like=SETS.spec)
    params = jax.device_get(variables["params"]["base"])
    base = Weights(params, {"name": "vgg16", "width": 0.0625}, TORCH, ("a", "b"), {})
    return Source(SETS, base, store=tmp_path_factory.mktemp("store"), progress=False)


@pytest.mark.parametrize("rules", [HEAD_ONLY, rules_of("finetune")], ids=["frozen", "finetune"])
def test_the_logits_of_a_kept_prefix_are_those_of_the_photographs(source, rules):
    stage = replace(STAGE, rules=rules)
    ready = setup.prepare(stage, NETWORK, source, seed=1)
    entered = ready.inputs.plain(jnp.asarray(ready.inputs.validation.inputs))
    assert isinstance(entered, Kept)
    start = {"frozen": "head", "finetune": "block5_conv1"}
    assert ready.inputs.start == start["frozen" if rules == HEAD_ONLY else "finetune"]
    assert {value.ndim for value in entered.read.values()} == {2}  # means, not maps
    logits, _ = ready.module.apply(ready.variables, entered, start=ready.inputs.start)
    whole, _ = ready.module.apply(ready.variables, TORCH(SETS.validation.images))
    np.testing.assert_allclose(logits, whole, rtol=1e-4, atol=1e-5)


def test_a_row_has_a_mean_of_each_layer_and_the_output(source):
    """Thirteen convolutions but the last, and block5_pool of 32 x 32 pixels, whole."""
    ready = setup.outline(STAGE, NETWORK, source)
    channels = 2 * 4 + 2 * 8 + 3 * 16 + 5 * 32
    assert ready.inputs.train.inputs.shape == (12, channels + 32)
    head = ready.variables["params"]["head"]["predictions"]["kernel"]
    assert head.shape == (channels + 32, 1)


def test_a_head_on_all_layers_is_solved_and_fine_tuned(source):
    solved = replace(STAGE, solver="lbfgs")
    ready = setup.prepare(solved, NETWORK, source, seed=0)
    first = rung.run(solved, ready, seed=0, progress=False)
    assert first.scores["validation"]["accuracy"] == 1.0
    tuned = replace(STAGE, rules=rules_of("finetune"), views=None)
    ready = setup.prepare(tuned, Network(hidden=0), source, seed=0, before=first)
    assert ready.described().layers == "all"
    second = rung.run(tuned, ready, seed=0, progress=False)
    assert second.scores["validation"]["accuracy"] == 1.0


def test_the_weights_of_words_count_every_way_from_a_token_to_the_logit():
    """A linear head without norm on embeddings alone: gradient times input is the logit."""
    options = {"vocabulary": 40, "width": 64, "positions": 8}
    network = Network("causal", options, hidden=0, layers="all")
    module = build.classifier(network, classes=2)
    tokens = np.random.default_rng(0).integers(1, 40, (3, 8)).astype(np.int32)
    like = jax.ShapeDtypeStruct(tokens.shape, np.int32)
    params = build.init_like(module, key=jax.random.key(0), like=like)["params"]
    kernel = np.array(params["head"]["predictions"]["kernel"])
    assert len(kernel) == 64 * (4 + 3)  # embed and three blocks, then mean, maximum and last
    kernel[64:] = 0
    params["head"]["predictions"]["kernel"] = jnp.asarray(kernel)
    net = Net(module, params, lambda x: x, ("a", "b"), 8, network=network)
    logits = net.run(jnp.asarray(tokens), params)[0][:, 0]
    said = words_of(net, tokens, np.ones(3, np.int32))
    np.testing.assert_allclose(said.sum(1), logits, rtol=1e-4, atol=1e-6)
    normed = replace(net, module=module.clone(head=module.head.clone(norm=True)))
    assert np.abs(words_of(normed, tokens, np.ones(3, np.int32))).max() > 0


@pytest.mark.parametrize("task", [SEGMENTATION, Language()], ids=lambda task: task.name)
def test_a_head_that_chooses_its_layers_refuses_all(task):
    base = "causal" if task.name == "language" else "vgg16"
    with pytest.raises(InputError, match="chooses its layers, found layers 'all'"):
        build.classifier(Network(base, layers="all"), task=task, classes=3)
