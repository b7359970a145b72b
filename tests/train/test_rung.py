from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.config import HEAD_ONLY, TRAIN_ALL, Stage, rules_of
from tljax.data.augment import Augment
from tljax.data.preprocess import CAFFE, UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.train import loop, rung, setup
from tljax.train.source import Source
from tljax.train.step import State
from tljax.weights import Weights

WIDTH = 0.0625
NETWORK = Network(hidden=4)  # of full width: the width is the weights' to say
# 10 images, batches of 5: two steps an epoch, on one device.
STAGE = Stage("tiny", HEAD_ONLY, lr=1e-2, epochs=2, batch_size=5, keep_going=True)


@pytest.fixture(scope="module", autouse=True)
def in_a_hurry():
    """Compiling takes most of the time here, so no optimiser,
    and the same first parameters only once.
    """
    known = {}

    def remembered(module, *, key, size, init=build.init):
        name = (module, tuple(jax.random.key_data(key).tolist()), size)
        if name not in known:
            known[name] = init(module, key=key, size=size)
        return known[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        patch.setattr(build, "init", remembered)
        yield


def split(count, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int32) % 2, tuple(map(str, range(count))))


SETS = ImageSets("test", ("cat", "dog"), split(10, 0), split(4, 1), "0" * 64)


def fresh(network, *, seed):
    return build.init(build.classifier(network, classes=2), key=jax.random.key(seed), size=32)[
        "params"
    ]


@pytest.fixture(scope="module")
def weights():
    base = fresh(replace(NETWORK, options={"width": WIDTH}), seed=5)["base"]
    # Thirteen layers halve a signal thirteen times from these initial kernels; it is to reach the
    # head.
    base = jax.tree.map(lambda leaf: np.asarray(leaf * 1.4 if leaf.ndim == 4 else leaf), base)
    return Weights(base, {"name": "vgg16", "width": WIDTH}, CAFFE, ("a", "b"), {})


def run(stage, tmp_path, network=NETWORK, *, weights=None, before=None):
    source = Source(SETS, weights, store=tmp_path / "features.h5", progress=False)
    ready = setup.prepare(stage, network, source, seed=2, before=before)
    return rung.run(stage, ready, seed=2, progress=False)


@pytest.fixture
def untrained(monkeypatch):
    """What reaches the loop, which returns it as it is."""
    caught = {}

    def train_stage(stage, ready, **options):
        caught.update(options, module=ready.module, variables=ready.variables, inputs=ready.inputs)
        return State(jnp.int32(0), ready.variables["params"], {}, None), loop.History()

    monkeypatch.setattr(rung.loop, "train_stage", train_stage)
    said = {"validation": np.zeros((len(SETS.validation.labels), 1), np.float32)}
    monkeypatch.setattr(rung.predictions, "held_out", lambda state, **options: said)
    return caught


def equal(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


def test_the_base_is_the_files_and_the_head_fresh(untrained, weights, tmp_path):
    trained = run(STAGE, tmp_path, weights=weights)
    assert equal(untrained["variables"]["params"]["base"], weights.params)
    assert equal(
        untrained["variables"]["params"]["head"],
        fresh(replace(NETWORK, options={"width": WIDTH}), seed=2)["head"],
    )
    assert trained.network == replace(NETWORK, options={"width": WIDTH})
    assert trained.preprocess == CAFFE
    np.testing.assert_array_equal(
        untrained["inputs"].plain(SETS.train.images), CAFFE(SETS.train.images)
    )
    head = 32 * 4 + 4 + 4 + 1
    assert trained.trainable_params == head
    assert trained.total_params == head + sum(leaf.size for leaf in jax.tree.leaves(weights.params))


def test_a_rate_to_be_found_is_the_valley_and_the_test_is_kept(untrained, tmp_path, monkeypatch):
    found, asked = rung.lr_finder.Finding(*np.ones((3, 1)), {"valley": 0.125, "slide": 0.5}), []
    monkeypatch.setattr(
        rung.lr_finder, "find", lambda stage, ready, **given: asked.append(given["seed"]) or found
    )
    train_stage = rung.loop.train_stage
    monkeypatch.setattr(
        rung.loop,
        "train_stage",
        lambda stage, ready, **o: asked.append(stage.lr) or train_stage(stage, ready, **o),
    )
    assert run(replace(STAGE, lr="find"), tmp_path).finding is found
    assert run(STAGE, tmp_path).finding is None
    assert asked == [2, 0.125, 1e-2]


@pytest.mark.parametrize("with_weights", [True, False])
def test_a_rung_continues_the_one_before(untrained, weights, tmp_path, with_weights):
    """Base, head, preprocessing and width are those of the rung before, whatever the file says."""
    params = jax.tree.map(
        lambda leaf: leaf + 1, fresh(replace(NETWORK, options={"width": WIDTH}), seed=3)
    )
    state = State(jnp.int32(4), params, {}, None)
    about = {"classes": SETS.classes, "size": SETS.size, "rung": "before", "seed": 3}
    network = replace(NETWORK, options={"width": WIDTH})
    before = rung.Trained(state, loop.History(), network, CAFFE, 1, 1, **about)
    trained = run(STAGE, tmp_path, before=before, weights=weights if with_weights else None)
    assert equal(untrained["variables"], {"params": params})
    assert trained.network.options == {"width": WIDTH}
    assert trained.preprocess == CAFFE


def test_the_network_from_scratch_takes_no_weights(untrained, weights, tmp_path):
    network = Network(base="cnn", hidden=4, options={"padding": "SAME"})
    trained = run(replace(STAGE, rules=TRAIN_ALL), tmp_path, network, weights=weights)
    assert equal(trained.state.params, fresh(network, seed=2))
    assert trained.preprocess == UNIT
    assert trained.trainable_params == trained.total_params


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({}, "file: unknown base None; one of cnn, vgg16"),
        ({"name": "vgg16"}, "file: loaded parameters do not fit .*! block1_conv1/bias expected"),
        ({"name": "vgg16", "depth": 2}, "file: vgg16: unknown option 'depth'; one of width, norm"),
        ({"name": "resnet1", "width": 1.0}, "file: unknown base 'resnet1'"),
    ],
)
def test_weights_that_do_not_say_which_base_they_are_of_are_refused(
    weights, tmp_path, architecture, message
):
    strange = replace(weights, architecture=architecture, source="file")
    with pytest.raises(InputError, match=message):
        run(STAGE, tmp_path, weights=strange)


def test_weights_of_another_width_are_refused(weights, tmp_path):
    lying = replace(weights, architecture={"name": "vgg16", "width": 2 * WIDTH})
    with pytest.raises(InputError, match="block1_conv1"):
        run(STAGE, tmp_path, weights=lying)


@pytest.mark.parametrize(
    ("network", "rules", "message"),
    [
        (
            Network(base="cnn", hidden=4, options={"padding": "SAME"}),
            TRAIN_ALL,
            "views need a pretrained base",
        ),
        (NETWORK, TRAIN_ALL, "views need a frozen first layer; its rules train block1_conv1"),
        (NETWORK, (("base/block1_conv1/bias", 1.0), *HEAD_ONLY), "views need a frozen first layer"),
    ],
)
def test_views_need_a_frozen_prefix(weights, tmp_path, network, rules, message):
    with pytest.raises(InputError, match=f"stage 'tiny': {message}"):
        run(replace(STAGE, rules=rules, views=2), tmp_path, network, weights=weights)
    assert list(tmp_path.iterdir()) == []


def test_the_prefix_is_the_longest_that_is_frozen(untrained, monkeypatch, weights, tmp_path):
    """Caught before it is run."""
    prefixes = []
    read = inputs.from_images(SETS, augment=None, preprocess=CAFFE)
    monkeypatch.setattr(
        inputs, "from_prefix", lambda sets, prefix, **_: prefixes.append(prefix) or read
    )
    for rules in (HEAD_ONLY, rules_of("finetune")):
        run(replace(STAGE, rules=rules, views=3, augment=Augment()), tmp_path, weights=weights)
    assert [(p.stop, p.architecture.following(p.stop)) for p in prefixes] == [
        ("block5_pool", "head"),
        ("block4_pool", "block5_conv1"),
    ]
    assert {(p.views, p.augment, p.preprocess) for p in prefixes} == {
        (2, Augment(), CAFFE)
    }  # two passes: no third


def test_cached_and_fresh_prefixes_train_the_same(weights, tmp_path):
    """Without augmentation the views are the photographs: to 1e-5,
    for the prefix ran in batches of another size.
    """
    cached = run(replace(STAGE, views=1), tmp_path, weights=weights)
    fresh_each_step = run(STAGE, tmp_path, weights=weights)
    for name, leaf in cached.state.params["head"]["fc1"].items():
        np.testing.assert_allclose(
            leaf, fresh_each_step.state.params["head"]["fc1"][name], atol=1e-5
        )
    assert equal(jax.device_get(cached.state.params["base"]), weights.params)
    for one, other in zip(cached.history.epochs, fresh_each_step.history.epochs, strict=True):
        assert one["train"] == pytest.approx(other["train"], abs=1e-5, nan_ok=True)
        assert one["validation"] == pytest.approx(other["validation"], abs=1e-5)
    start = fresh(replace(NETWORK, options={"width": WIDTH}), seed=2)["head"]["fc1"]["kernel"]
    assert np.abs(cached.state.params["head"]["fc1"]["kernel"] - start).max() > 1e-3
