"""The ladder by import: without a folder, each rung from the one that it builds on."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from tljax import recipe
from tljax.climb import ladder
from tljax.config import HEAD_ONLY, Stage
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.machine import signals
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.optim.transform import Optimizer
from tljax.train import Source, frozen, prepare, rung
from tljax.train.loop import train_stage
from tljax.train.resume import Saver
from tljax.weights import Weights

NETWORK = Network(hidden=4, options={"width": 0.0625})
HEAD = Stage("frozen", HEAD_ONLY, lr=1e-2, epochs=1, batch_size=5, views=1, keep_going=True)
LATE = recipe.unfreeze(replace(HEAD, name="finetune"), start="block5_conv1", factor=2.0)


def split(count, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int32) % 2, tuple(map(str, range(count))))


@pytest.fixture
def source(monkeypatch, tmp_path):
    monkeypatch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
    sets = ImageSets("test", ("cat", "dog"), split(10, 0), split(4, 1), "0" * 64)
    params = build.init(build.classifier(NETWORK, classes=2), key=jax.random.key(5), size=32)[
        "params"
    ]
    architecture = {"name": "vgg16", "width": 0.0625}
    weights = Weights(jax.device_get(params["base"]), architecture, UNIT, ("a", "b"), {})
    return Source(sets, weights, store=tmp_path / "features", progress=False)


def test_each_rung_starts_from_the_one_below(source):
    stages = {"frozen": (NETWORK, HEAD), "finetune": (NETWORK, LATE)}
    done = ladder(stages, source, seeds=[1])
    assert {seed: list(rungs) for seed, rungs in done.items()} == {1: ["frozen", "finetune"]}
    head = rung.run(HEAD, prepare(HEAD, NETWORK, source, seed=1), seed=1, progress=False)
    ready = prepare(LATE, NETWORK, source, seed=1, before=head)
    late = rung.run(LATE, ready, seed=1, progress=False)
    for found, expected in ((done[1]["frozen"], head), (done[1]["finetune"], late)):
        same = jax.tree.map(frozen.same_bits, found.state.params, expected.state.params)
        assert all(jax.tree.leaves(same))
        assert found.logits["validation"].shape == (4, 1)
    moved = [done[1][name].state.params["base"]["block5_conv1"]["kernel"] for name in stages]
    assert not np.array_equal(*moved)


def test_seeds_of_a_head_share_one_program_and_are_what_they_are_alone(source, capsys):
    both = ladder({"frozen": (NETWORK, HEAD)}, source, seeds=[1, 2])
    assert "frozen: 2 members in 1 call" in capsys.readouterr().out
    alone = rung.run(HEAD, prepare(HEAD, NETWORK, source, seed=2), seed=2, progress=False)
    for name, leaf in alone.state.params["head"]["fc1"].items():
        np.testing.assert_allclose(
            both[2]["frozen"].state.params["head"]["fc1"][name], leaf, atol=1e-5
        )


ANCHORED = replace(LATE, name="differential", optimizer=Optimizer("sgd", momentum=0.0, anchor=2.0))
BIASES = replace(
    ANCHORED, name="biases", rules=(("head/.*", 1.0), ("base/.*bias", 1.0), ("base/.*", None))
)


def test_every_rung_is_anchored_to_the_pretrained_weights(source):
    """Not to the rung that it builds on; seeds that share a program, too."""
    stages = {"finetune": LATE, "differential": ANCHORED, "biases": replace(BIASES, views=None)}
    done = ladder(
        {name: (NETWORK, stage) for name, stage in stages.items()},
        source,
        seeds=[1, 2],
        starts_from={"differential": "finetune", "biases": "finetune"},
    )
    for seed in (1, 2):
        begun = done[seed]["finetune"].state.params["base"]["block5_conv1"]["kernel"]
        kernel = anchors(done[seed]["differential"].state)["base/block5_conv1/kernel"]
        np.testing.assert_array_equal(kernel, pretrained(source, "kernel"))
        assert not np.array_equal(kernel, begun)
        bias = anchors(done[seed]["biases"].state)["base/block5_conv1/bias"]
        np.testing.assert_array_equal(bias, pretrained(source, "bias"))


def test_a_resumed_rung_is_anchored_to_the_pretrained_weights(source, tmp_path, monkeypatch):
    below = rung.run(LATE, prepare(LATE, NETWORK, source, seed=1), seed=1, progress=False)
    stage = replace(ANCHORED, epochs=2)
    ready = prepare(stage, NETWORK, source, seed=1, before=below)
    whole, _ = train_stage(stage, ready, seed=1, progress=False)

    def stop(record, state):
        monkeypatch.setattr(signals, "_waiting", 15 if record["epoch"] == 1 else None)

    with pytest.raises(signals.Interrupted):
        train_stage(
            stage, ready, seed=1, saver=Saver(tmp_path / "s"), on_epoch=stop, progress=False
        )
    monkeypatch.setattr(signals, "_waiting", None)
    state, _ = train_stage(stage, ready, seed=1, saver=Saver(tmp_path / "s"), progress=False)
    kernel = anchors(state)["base/block5_conv1/kernel"]
    np.testing.assert_array_equal(kernel, pretrained(source, "kernel"))
    same = jax.tree.map(frozen.same_bits, state.params, whole.params)
    assert all(jax.tree.leaves(same))


def anchors(state):
    """Return the leaves of the base in an optimizer's state without momentum."""
    leaves = jax.tree_util.tree_leaves_with_path(state.opt_state)
    return {path[-1].key: leaf for path, leaf in leaves if str(path[-1]).startswith("['base/")}


def pretrained(source, leaf):
    return source.weights.params["block5_conv1"][leaf]
