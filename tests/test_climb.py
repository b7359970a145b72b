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
from tljax.optim import rules
from tljax.optim.transform import Optimizer
from tljax.sweep.program import make_stage
from tljax.train import Source, frozen, prepare, program, rung
from tljax.train.history import ignore
from tljax.train.loop import train_stage
from tljax.train.resume import Saver
from tljax.tree import flatten
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


ANCHORED = replace(
    LATE, name="differential", epochs=2, optimizer=Optimizer("sgd", momentum=0.0, anchor=2.0)
)


def test_a_later_rung_is_anchored_to_the_pretrained_weights(source, tmp_path, monkeypatch):
    """Not to the rung that it goes on from, and not to where it was stopped and resumed."""
    below = rung.run(LATE, prepare(LATE, NETWORK, source, seed=1), seed=1, progress=False)
    ready = prepare(ANCHORED, NETWORK, source, seed=1, before=below)
    whole = program.ahead({"differential": (ANCHORED, ready)})["differential"]

    def train(on_epoch=ignore):
        how = {"saver": Saver(tmp_path / "saves"), "program": whole, "progress": False}
        return train_stage(ANCHORED, ready, seed=1, on_epoch=on_epoch, **how)[0]

    def stop(record, state):
        monkeypatch.setattr(signals, "_waiting", 15 if record["epoch"] == 1 else None)

    with pytest.raises(signals.Interrupted):
        train(stop)
    monkeypatch.setattr(signals, "_waiting", None)
    found = anchors(train().opt_state)["base/block5_conv1/kernel"]
    np.testing.assert_array_equal(found, source.weights.params["block5_conv1"]["kernel"])
    assert not np.array_equal(found, below.state.params["base"]["block5_conv1"]["kernel"])


def test_seeds_of_one_program_are_anchored_to_the_pretrained_weights(source):
    ready = prepare(ANCHORED, NETWORK, source, seed=1)
    trained, _ = rules.split(ready.variables["params"], ANCHORED.rules)
    tx, _ = make_stage(ANCHORED, ready, paths=list(flatten(ready.variables["params"])))
    found = anchors(tx.init({path: leaf + 1 for path, leaf in trained.items()}))
    assert len(found) == 6  # three layers of block5
    for path, leaf in found.items():
        np.testing.assert_array_equal(leaf, flatten({"base": source.weights.params})[path])


def anchors(opt_state):
    """Return the leaves of the base in an optimizer's state without momentum, by path."""
    leaves = jax.tree_util.tree_leaves_with_path(opt_state)
    return {path[-1].key: leaf for path, leaf in leaves if str(path[-1]).startswith("['base/")}
